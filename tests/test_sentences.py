"""Whatever is typed ends in one sentence that names the setting, never in a trace."""

import pytest

from depthlab.config.compose import compose_settings
from tests.sentences import explained, recorded, sentence

LONG = "x" * 3000
KINDS = {
    ("depth", "seed", "replicas", "trainer.devices"): ["-1", "1.5", "abc", "null", "[1]", "{a: 1}", "inf", LONG],
    ("p_drop", "lr", "model.alpha"): ["abc", "null", "[1]", "{a: 1}", "inf", "nan", "-1", "''", LONG],
    ("norm", "drop_edge.mode", "dataset.metric"): ["abc", "null", "[1]", "{a: 1}", "3", "''", LONG],
    ("progress", "model.star", "dataset.normalize_features"): ["abc", "[1]", "{a: 1}", "''", "null"],
    ("measures", "tracking.artifacts"): ["abc", "[1]", "{a: 1}", "3", "[[a]]", "null", "[x,null]", f"[{LONG}]"],
    ("model", "dataset", "recipe"): ["null", "[1]", "{a: 1}", "3", "''", "../dataset/cora", "/etc/x", "..", LONG],
    ("tracking.experiment", "ckpt"): ["[1]", "{a: 1}", "'a\nb'", "'a\tb'", f"'{'x' * 5000}'"],
    ("depth",): ["", "=", "(", "[", "'", "${x}", "${oc.env:NOPE}", "é", "1,2", "range(3)"],
    ("tracking", "drop_edge"): ["3", "[1]", "{x: 1}"],
    ("hydra.x", "limits", "x", "model.x", "model.alpha.x", "model.limits", "défi", "a b"): ["3"],
    ("model._target_", "dataset.name", "dataset.files", "split"): ["[1]", "x"],
}  # fmt: skip
TYPED = [f"{key}={value}" for keys, values in KINDS.items() for key in keys for value in values]
TYPED += ["~model", "~dataset", "~depth", "~tracking", "~trainer", "+x=1", "++x=1", "+model.x=1", "x"]


@pytest.mark.parametrize("typed", TYPED, ids=[typed[:40] for typed in TYPED])
def test_a_wrong_input_ends_in_one_sentence_that_names_it(typed: str) -> None:
    said = explained(lambda: compose_settings([typed]))
    assert "\n" not in said and len(said) < 460  # the longest lists every dataset
    assert typed.lstrip("+~").partition("=")[0] in said


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in recorded().items() for text in texts])
def test_the_words_are_those_of_the_snapshot(kind: str, text: str) -> None:
    assert sentence(kind, text) == recorded()[kind][text]

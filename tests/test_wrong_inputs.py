"""Whatever is typed ends in one sentence that names the setting, never in a trace."""

import pytest

from depthlab.cli import explain
from depthlab.config.settings import compose_settings

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
def test_a_wrong_input_ends_in_one_sentence(typed: str) -> None:
    with pytest.raises(Exception) as error:
        compose_settings([typed])
    sentence = explain(error.value)
    assert sentence is not None, error.value
    assert "\n" not in sentence and len(sentence) < 400  # the longest lists every dataset
    assert typed.lstrip("+~").partition("=")[0] in sentence

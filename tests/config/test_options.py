"""What the yaml of an option must hold, and which values its settings may have."""

from pathlib import Path
from typing import Any

import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.options import check_values, read_option
from depthlab.config.schema import OPTION_GROUPS
from depthlab.folders import CONF

MODEL = "_target_: depthlab.nn.gcn.GCN\n"
DATASET = "name: x\n_target_: depthlab.data.csbm.make_csbm\nsplits: 1\nsplit: 0\ntask: classification\nmetric: acc\n"
BAD = [
    ("model", "", "must hold settings as key: value, among them _target_"),
    ("model", "foo: 1", "must hold settings as key: value, among them _target_"),
    ("model", "_target_: 3", "is wrong: _target_ must be MODULE.NAME of a class or function, got 3"),
    ("model", "_target_: GCN", "is wrong: _target_ must be MODULE.NAME"),
    ("model", "_target_: null", "is wrong: _target_ must be MODULE.NAME of a class or function, got nothing"),
    ("model", MODEL + "limits: 3", "is wrong: limits must be a mapping of settings to intervals"),
    ("model", MODEL + "limits: [a]", "is wrong: limits must be a mapping of settings to intervals"),
    ("model", MODEL + "alpha: 1\nlimits: {alpha: 3}", "is wrong: limits.alpha must be an interval such as"),
    ("model", MODEL + "alpha: 1\nlimits: {alpha: '[1, 0]'}", "is wrong: limits.alpha must be an interval such as"),
    ("model", MODEL + "alpha: 1\nlimits: {alpha: '[a, b]'}", "is wrong: limits.alpha must be an interval such as"),
    ("model", MODEL + "alpha: 1\nlimits: {alpha: []}", "is wrong: limits.alpha must be an interval such as"),
    ("model", MODEL + "limits: {alpha: '[0, 1]'}", "is wrong: it limits alpha, which it does not set"),
    ("dataset", DATASET.replace("name: x", "name: ../../x"), "is wrong: name must be a word of letters, digits"),
    ("dataset", DATASET.replace("name: x", "name: [x]"), "is wrong: name must be a word of letters, digits"),
    ("dataset", DATASET.replace("splits: 1", "splits: -1"), "is wrong: splits must be a whole number, or a list of"),
    ("dataset", DATASET.replace("splits: 1", "splits: {a: 1}"), "is wrong: splits must be a whole number, or a list"),
    ("dataset", DATASET.replace("splits: 1", "splits: [1, 2]"), "is wrong: splits must be a whole number, or a list"),
    ("dataset", DATASET.replace("metric: acc", ""), "must hold settings as key: value, among them metric"),
    ("dataset", DATASET.replace("metric: acc", "metric: [a]"), "is wrong: metric must be a word, got a list"),
    ("dataset", DATASET + "files: 3", "is wrong: files must be a list of paths below data/, got 3"),
    ("dataset", DATASET + "files: [1]", "is wrong: files must be a list of paths below data/, got a list"),
    ("dataset", DATASET + "path: 3", "is wrong: path must be a path or null, got 3"),
    ("dataset", DATASET + "batch_size: x", "is wrong: batch_size must be a whole number above 0, got x"),
    ("dataset", DATASET + "mapped: 1", "is wrong: mapped must be true or false, got 1"),
    ("dataset", DATASET + "normalize_features: 1", "is wrong: normalize_features must be true or false, got 1"),
    ("rewiring", "_target_: depthlab.graph.rewiring.fosr.fosr\nlayers: all", "among them seed"),
    (
        "rewiring",
        "_target_: depthlab.graph.rewiring.fosr.fosr\nseed: 0\nlayers: 3",
        "is wrong: layers must be all or last",
    ),
    ("loader", "parts: 3", "must hold settings as key: value, among them name"),
    ("loader", "name: cluster\nparts: 3", "must hold settings as key: value, among them batch_parts"),
]


@pytest.mark.parametrize(("group", "content", "sentence"), BAD, ids=[f"{one[0]}: {one[2][:60]}" for one in BAD])
def test_an_option_that_cannot_be_used_is_named(conf: Path, group: str, content: str, sentence: str) -> None:
    (conf / group / "own.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        compose_settings([f"{group}=own"])
    assert str(error.value).startswith(f"conf/{group}/own.yaml ")
    assert sentence in str(error.value)
    assert str(error.value).endswith(f": correct it, or choose another {group}")


@pytest.mark.parametrize("group", OPTION_GROUPS)
def test_every_option_here_can_be_used(group: str) -> None:
    for path in (CONF / group).glob("*.yaml"):
        option = read_option(group, path.stem)
        values = option | ({"T_max": 1} if option.get("T_max") == "${epochs}" else {})
        check_values(group, values, option)


def test_an_option_that_is_not_chosen_does_no_harm(conf: Path) -> None:
    for group in OPTION_GROUPS:
        (conf / group / "own.yaml").write_text("- nothing\n")
    assert compose_settings(["model=gcn"]).model.target == "depthlab.nn.gcn.GCN"


def test_a_number_with_an_exponent_is_a_number(conf: Path) -> None:
    """PyYAML alone reads a word there."""
    (conf / "model" / "own.yaml").write_text(MODEL + "alpha: 1e-1\nlimits: {alpha: '[0, 1]'}\n")
    assert compose_settings(["model=own"]).model.arguments["alpha"] == 0.1
    assert compose_settings(["model=own", "model.alpha=0.2"]).model.arguments["alpha"] == 0.2


def test_settings_of_a_model_may_have_the_names_that_other_groups_use(conf: Path) -> None:
    own = MODEL + "layers: 3\nname: a b\ntask: [1]\npath: null\nfiles: 2\nsplits: -1\nmapped: 2\nmetric: 1.5\n"
    (conf / "model" / "own.yaml").write_text(own)
    changed = ["model.layers=4", "model.name=c", "model.path=5", "model.files=3", "model.mapped=1"]
    arguments = compose_settings(["model=own", *changed]).model.arguments
    assert (arguments["layers"], arguments["name"], arguments["path"], arguments["files"]) == (4, "c", 5, 3)


def test_an_empty_group_takes_any_settings(conf: Path) -> None:
    (conf / "model" / "own.yaml").write_text(MODEL + "more: {}\n")
    for typed in ("model.more.a=1", "+model.more.a=1"):
        assert compose_settings(["model=own", typed]).model.arguments["more"] == {"a": 1}
    with pytest.raises(UserError, match=r"^model\.more is a group of settings: set one of them$"):
        compose_settings(["model=own", "model.more=1"])


VALUES: list[tuple[Any, Any, str]] = [
    (1.0, "abc", "g.key must be a number, got abc"),
    (1.0, True, "g.key must be a number, got True"),
    (1.0, float("nan"), "g.key must be a number, got nan"),
    (1.0, None, "g.key must be a number, got None"),
    (1, 1.5, "g.key must be a whole number, got 1.5"),
    (True, 1, "g.key must be true or false, got 1"),
    ("a", 3, "g.key must be a word, got 3"),
    ([1], 3, "g.key must be a list, got 3"),
    ({"a": 1}, 3, "g.key is a group of settings: set one of them"),
]


@pytest.mark.parametrize(("default", "value", "sentence"), VALUES, ids=[one[2] for one in VALUES])
def test_a_value_has_the_type_of_its_default(default: Any, value: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check_values("g", {"key": value}, {"key": default})
    assert str(error.value) == sentence


@pytest.mark.parametrize(("default", "value"), [(1.0, 2), (float("inf"), 3.0), (1.0, -1e300), (None, "x"), ([1], [])])
def test_a_value_of_the_same_type_is_allowed(default: Any, value: Any) -> None:
    check_values("g", {"key": value}, {"key": default})

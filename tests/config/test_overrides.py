"""How many values an override has, and how one is quoted."""

import math
import os
import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.overrides import (
    ambiguous,
    check_distinct,
    check_runs,
    check_sweep,
    count_values,
    override_of,
    quoted,
    unreadable,
)
from depthlab.config.schema import MAX_RUNS
from depthlab.config.yaml_files import read_mapping
from depthlab.folders import CONF


def parsed(text: str) -> Override:
    return OverridesParser.create().parse_override(text)


COUNTS = {
    "seed=1": 1, "seed=1,2,3": 3, "seed=[1,2]": 1, "seed=range(5)": 5, "seed=range(2,11,3)": 3, "lr=range(0,1,0.25)": 4,
    "seed=range(5,1)": 0, "seed=range(5,1,-1)": 4, "seed=range(0,1000000000)": 10**9, "seed=sort(range(0,9))": 9,
    "lr=range(0,1,0)": math.inf, "lr=range(0,inf)": math.inf, "lr=range(0,nan)": math.inf,
    f"seed=range({'9' * 400})": math.inf, "model=choice(a,b)": 2, "lr=interval(0,1)": 1,
}  # fmt: skip


@pytest.mark.parametrize("text", COUNTS, ids=[text[:40] for text in COUNTS])
def test_values_are_counted_without_being_listed(text: str) -> None:
    override = parsed(text)
    assert count_values(override) == COUNTS[text]
    if override.is_discrete_sweep() and COUNTS[text] < 1000:
        assert len(list(override.sweep_iterator())) == COUNTS[text]


def test_the_runs_of_a_command_are_limited() -> None:
    check_runs([100, 100], 10_000, "this study")
    check_runs([], 1, "this study")
    with pytest.raises(UserError) as error:
        check_runs([100, 101], 10_000, "this study")
    assert str(error.value) == (
        "this study has 10,100 runs, at most 10,000 are allowed: give fewer values, or use max_runs=10100"
    )
    for counts in ([0, math.inf], [10**200, 10**200]):
        with pytest.raises(UserError, match=r"^this study has endlessly many runs, .* allowed: give fewer values$"):
            check_runs(counts, 10_000, "this study")


def test_the_runs_of_a_multirun_are_limited() -> None:
    check_sweep(["seed=range(0,100)", "depth=2,4", "measures=[a,b]"], 200)
    check_sweep(["seed=range(0,100)", "max_runs=100"], 10)
    with pytest.raises(UserError, match=r"^this command has 1,000,000,000 runs, at most 10,000 are allowed"):
        check_sweep(["seed=range(0,1000000000)"], 10_000)
    with pytest.raises(UserError, match=r"^model has the value gcn twice: leave one out"):
        check_sweep(["model=gcn,mlp,gcn"], 10_000)


def test_a_value_twice_is_named() -> None:
    for text in ("seed=1,2", "seed=range(3)", "seed=1", "seed=[1,1]"):
        check_distinct(parsed(text))
    with pytest.raises(UserError, match=r"^seed has the value 1 twice: leave one out$"):
        check_distinct(parsed("seed=1,2,1"))


@pytest.mark.parametrize("name", ["config", "study", "sweep"])
def test_the_usual_number_of_runs_is_that_of_every_config(name: str) -> None:
    assert read_mapping(CONF / f"{name}.yaml")["max_runs"] == MAX_RUNS


VALUES = [
    "données/g.npz", "~/g.npz", "/data/g(1).npz", "a,b.npz", "a=b.npz", "my graph.npz", "it's.npz", 'a"b.npz',
    "{a}.npz", "[a].npz", "a;b.npz", "a&b.npz", "a#b.npz", "a:b.npz", "a\\b.npz", "a\\'b.npz", 'a\\"b', "a$HOME",
    "'\".npz", "${x}", "日本語", "a!b", "`a`", "a\\", "null", "3", "true", " a ", "a*b?",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_what_is_quoted_is_read_as_it_is(value: str) -> None:
    (word,) = shlex.split(quoted("dataset.path", value))
    assert compose_settings(["dataset=npz", word]).dataset.path == os.path.expanduser(value)  # noqa: PTH111


@pytest.mark.parametrize("value", [*VALUES, "/data/g.npz"])
def test_overrides_are_quoted_so_that_hydra_reads_them_unchanged(value: str) -> None:
    written = override_of("dataset.path", value)
    assert compose_settings(["dataset=npz", written]).dataset.path == os.path.expanduser(value)  # noqa: PTH111


def test_other_values_are_written_as_they_are_read() -> None:
    assert override_of("ckpt", None) == "ckpt=null"
    assert override_of("split", "3") == "split=3"
    assert override_of("tracking.experiment", "2026_11_29") == 'tracking.experiment="2026_11_29"'
    assert override_of("tracking.artifacts", ["config", "figures"]) == "tracking.artifacts=[config,figures]"


@pytest.mark.parametrize(
    "text", ["dataset.path=données/g.npz", "ckpt=/x/epoch=3.ckpt", "+dataset.path=g(1).npz", "dataset=Téxas"]
)
def test_the_sentence_shows_the_quoted_value(text: str) -> None:
    sentence = unreadable(text)
    key, _, value = text.lstrip("+").partition("=")
    suggested = re.fullmatch(r"cannot read .*: quote a value with special characters, (.*)", sentence)
    assert suggested
    override = OverridesParser.create().parse_override(shlex.split(suggested[1])[0])
    assert (override.key_or_group, override.value()) == (key, value)


def test_other_sentences() -> None:
    assert unreadable("depth==") == "cannot read 'depth==': write key=value"
    assert unreadable("lr=[0.1") == "cannot read 'lr=[0.1': a bracket is not closed, add ]"
    assert (
        unreadable("8") == "cannot read '8': write key=value (no --, no spaces around =), and quote a value with spaces"
    )
    assert ambiguous("depth=2,4") == (
        "depth has several values: add -m to run them one after another, or use depthlab study"
    )
    assert ambiguous("tracking.artifacts=config,figures") == (
        "tracking.artifacts takes a list: type 'tracking.artifacts=[config,figures]'"
    )
    assert ambiguous("dataset.path=a,b.npz") == (
        "dataset.path has several values: if it is one string with a comma, type 'dataset.path=\"a,b.npz\"'"
    )

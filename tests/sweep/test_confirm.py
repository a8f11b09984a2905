"""After a search: the best and the baseline on fresh seeds, and the recipe."""

import math
import re
import shlex
from typing import Any

import numpy as np
import pytest
import yaml

from depthlab.config.compose import compose_settings
from depthlab.config.schema import Settings
from depthlab.statistics import summarize
from depthlab.sweep.confirm import confirm, format_comparison, graph_settings, recipe, round_value
from depthlab.sweep.search import FRESH, Search, make_search
from depthlab.sweep.space import Range, read_space
from depthlab.tasks.metrics import METRICS
from tests.sweep.conftest import ONE, SPACE, Sweep, add, options

BEST = {"p_drop": 0.123456, "dropout": 0.1, "weight_decay": 0.0123456}
Capture = pytest.CaptureFixture[str]


def searched(sweep: Sweep, *typed: str, best: dict[str, Any] | None = None, **changes: Any) -> Search:
    """The study `small` with a complete trial of the baseline, if that is in the space, and a better one."""
    search = sweep.search("weight_decay=tag(log, interval(1e-5, 0.1))", *typed, **changes)
    study = sweep.study(search)
    if all(value in search.space[key] for key, value in search.baseline.items()):
        add(study, search, [0.6], search.baseline)
    add(study, search, [0.7], {**BEST, **(best or {})})
    return search


def confirmed(sweep: Sweep, search: Search, **config: Any) -> Any:
    """The recipe's file, where all trainings ended and it was written."""
    file = sweep.folder / "conf" / "recipe" / "tuned" / "csbm-gcn.yaml"
    complete = confirm("small", sweep.study(search), search, options(**{"fresh": 3} | config))
    return file if complete and file.is_file() else complete


@pytest.fixture
def composed(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Composes with the recipes that a sweep has written."""

    def compose(*typed: str) -> Settings:
        return compose_settings(list(typed))

    return compose


def test_a_recipe_and_where_it_came_from(sweep: Sweep, composed: Any, capsys: Capture) -> None:
    search = searched(sweep)
    file = confirmed(sweep, search)
    out = capsys.readouterr().out
    assert f"written to {file}: depthlab train model=gcn dataset=csbm dataset.nodes=120 recipe=tuned" in out

    first, *lines = file.read_text().splitlines()
    assert first == "# @package _global_"
    comments = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    assert comments[0] == "Found by the sweep small on validation data: 2 trials, 2 of them complete, of"
    assert re.fullmatch(r"1 trainings each \(split 0; seed 0\); val_acc; sampler tpe; \d{4}-\d\d-\d\d\.", comments[1])
    assert comments[2] == "Graph: dataset.nodes=120."
    del comments[2]
    assert comments[2:5] == [
        "Searched: p_drop in 0 to 0.8.",
        "Searched: dropout in 0 to 0.8.",
        "Searched: weight_decay in 1e-05 to 0.1 (log).",
    ]
    assert comments[5] == (
        "Tested once, seeds 1000 to 1002, beside the baseline (p_drop=0 dropout=0.5 weight_decay=0.0005):"
    )
    assert re.fullmatch(
        r"test accuracy [\d.]+ ± [\d.]+ % tuned, [\d.]+ ± [\d.]+ % baseline;"
        r" paired difference [+-][\d.]+ ± [\d.]+: .*",
        comments[6],
    )
    assert comments[6] in out

    config = composed("model=gcn", "dataset=csbm", "recipe=tuned")
    assert (config.p_drop, config.dropout, config.weight_decay) == (0.123, 0.1, 0.0123)
    assert config.weight_decay_linear == 0.0123
    assert (config.depth, config.hidden, config.epochs) == (2, 16, 3)
    assert (config.seed, config.split) == (0, "0")  # a recipe holds neither
    assert config.lr == 0.01
    assert "tracking" not in yaml.safe_load(file.read_text())


def test_fresh_seeds_are_not_those_of_the_search(sweep: Sweep) -> None:
    search = searched(sweep, seeds=2)
    confirmed(sweep, search)
    runs = sweep.records.runs("tags.study = 'sweep-small' and tags.outcome = 'finished'")
    trained = [run for run in runs if run.tags.get("kind") != "study"]
    assert sorted((run.tags["method"], run.tags["seed"]) for run in trained) == [
        (method, str(FRESH + k)) for method in ("baseline", "tuned") for k in range(3)
    ]
    assert all("test_acc" in run.metrics for run in trained)
    assert max(search.seeds) < FRESH


@pytest.mark.slow
@pytest.mark.parametrize(("splits", "seeds"), [([{"split": 3}], 10), ([{"split": 0}, {"split": 3}], 2)])
def test_how_many_fresh_seeds(sweep: Sweep, splits: list[dict[str, Any]], seeds: int) -> None:
    confirmed(sweep, searched(sweep, "epochs=1", splits=splits), fresh=None)
    trained = sweep.records.runs("tags.method = 'tuned' and attributes.status = 'FINISHED'")
    found = {(run.tags["seed"], run.tags["split"]) for run in trained if run.tags.get("kind") != "study"}
    assert found == {(str(FRESH + k), str(split["split"])) for k in range(seeds) for split in splits}


def test_the_same_command_tests_nothing_twice(sweep: Sweep) -> None:
    search = searched(sweep)
    file = confirmed(sweep, search, fresh=2)
    before, content = len(sweep.records.runs()), file.read_text()
    assert confirmed(sweep, search, fresh=2) == file
    assert (len(sweep.records.runs()), file.read_text()) == (before, content)


def test_no_recipe_if_the_baseline_is_the_best(sweep: Sweep, capsys: Capture) -> None:
    search = searched(sweep)
    add(sweep.study(search), search, [0.9], search.baseline)
    assert confirmed(sweep, search) is True
    assert "nothing was better than the baseline: no recipe is written" in capsys.readouterr().out
    assert not (sweep.folder / "conf").exists()
    assert sweep.records.runs() == []


def test_nothing_is_tested_without_fresh_seeds_or_without_a_complete_trial(sweep: Sweep) -> None:
    search = searched(sweep)
    assert confirmed(sweep, search, fresh=0) is True
    empty = sweep.search()
    assert confirm("empty", sweep.study(empty, storage=f"{sweep.folder}/empty.journal"), empty, options())
    assert sweep.records.runs() == []


def test_nothing_is_written_when_a_fresh_training_fails(
    sweep: Sweep, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = searched(sweep)
    monkeypatch.setattr("depthlab.sweep.confirm.run_study", lambda *_: False)
    assert confirmed(sweep, search) is False
    out = capsys.readouterr().out
    assert out == "some of the fresh trainings failed: the same command tries them again; no recipe is written\n"
    assert not (sweep.folder / "conf").exists()


@pytest.mark.slow
def test_a_setting_that_diverges_on_fresh_seeds_is_no_recipe(sweep: Sweep, capsys: Capture) -> None:
    assert confirmed(sweep, searched(sweep, "lr=0.01,1e30", best={"lr": 1e30}), fresh=2) is True
    out = capsys.readouterr().out
    assert out.endswith("nothing can be compared: 2 of 2 runs diverged with tuned; no recipe is written\n")
    assert not (sweep.folder / "conf").exists()


def test_a_recipe_of_another_sweep_is_kept(sweep: Sweep, capsys: Capture) -> None:
    file = sweep.folder / "conf" / "recipe" / "tuned" / "csbm-gcn.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\n# mine\nlr: 0.5\n")
    assert confirmed(sweep, searched(sweep), fresh=2) == file
    assert file.with_suffix(".yaml.old").read_text().endswith("lr: 0.5\n")
    assert "the former csbm-gcn.yaml is now csbm-gcn.yaml.old" in capsys.readouterr().out
    assert confirmed(sweep, searched(sweep), fresh=2) == file
    assert file.with_suffix(".yaml.old").read_text().endswith("lr: 0.5\n")


def test_a_value_is_rounded_within_its_range(sweep: Sweep, composed: Any) -> None:
    search = searched(sweep, "dropout=interval(0.9, 0.9976)", best={"dropout": 0.99755})
    assert confirmed(sweep, search, fresh=2)
    assert composed("model=gcn", "dataset=csbm", "recipe=tuned").dropout == 0.99755  # 0.998 is outside


def test_a_recipe_keeps_what_was_typed_and_nothing_of_the_machinery(sweep: Sweep) -> None:
    search = sweep.search("norm=batch", "drop_edge.mode=rescale", "trainer.threads=1", "progress=false", "recipe=none")
    assert recipe(search, {"p_drop": 0.2, "dropout": 0.3}) == {
        "depth": 2, "p_drop": 0.2, "drop_edge": {"mode": "rescale"}, "dropout": 0.3, "norm": "batch", "hidden": 16,
        "epochs": 3,
    }  # fmt: skip


def test_a_value_has_three_digits_where_its_range_allows() -> None:
    values = Range(low=0.0, high=1e5)
    assert [round_value(value, values) for value in (0.123456, 5e-4, 12345.6)] == [0.123, 5e-4, 12300.0]
    assert round_value(1234, Range(low=1, high=2000)) == 1234
    assert round_value(0.12345, Range(choices=(0.12345, 0.5))) == 0.12345
    assert round_value("none", Range(choices=("none", "batch"))) == "none"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([0.1, 0.11, 0.09], "paired difference +10.0 ± 2.5: better"),
        ([-0.1, -0.11, -0.09], "paired difference -10.0 ± 2.5: worse"),
        ([0.1, -0.11, 0.09], ": not significant"),
    ],
)
def test_a_comparison_in_words(changes: list[float], words: str) -> None:
    scores = summarize([0.8, 0.82, 0.84])
    text = format_comparison(scores, scores, summarize(changes), METRICS["acc"])
    assert text.startswith("test accuracy 82.0 ± 5.0 % tuned, 82.0 ± 5.0 % baseline; ")
    assert text.endswith(words)
    few = format_comparison(
        summarize([0.8, math.nan]), summarize([0.7, 0.7]), summarize([-0.1, math.nan]), METRICS["roc_auc"]
    )
    assert few == "test ROC-AUC 70.0 % tuned, 80.0 % (1 of 2) baseline"


def test_a_rewiring_is_typed_beside_the_recipe(sweep: Sweep) -> None:
    search = sweep.search("rewiring=random", "rewiring.seed=3", "rewiring.num_edges=int(interval(5, 60))")
    tuned = search.baseline | {"rewiring.num_edges": 7}
    assert graph_settings(search, tuned) == [
        "dataset.nodes=120", "rewiring=random", "rewiring.seed=3", "rewiring.num_edges=7"
    ]  # fmt: skip
    assert "rewiring" not in recipe(search, tuned) and "dataset" not in recipe(search, tuned)
    assert recipe(search, tuned)["dropout"] == search.baseline["dropout"]


def test_a_graph_that_only_the_command_line_names_gets_no_recipe(
    sweep: Sweep, arrays: dict[str, Any], capsys: Capture
) -> None:
    np.savez(sweep.folder / "own graph.npz", **arrays)
    path = f"dataset.path={sweep.folder}/own graph.npz"
    typed = ["model=gcn", "dataset=npz", path, "like=cornell", "hidden=16", "trainer.threads=1", "epochs=3", "depth=2"]
    space, rest = read_space(SPACE, [*typed, f"tracking.uri={sweep.uri}"])
    search = make_search(space, rest, None, 1, (ONE,))
    add(sweep.study(search), search, [0.7], {"p_drop": 0.123456, "dropout": 0.1})
    assert confirmed(sweep, search, fresh=2) is True
    assert not (sweep.folder / "conf").exists()
    said, command = capsys.readouterr().out.splitlines()[-2:]
    assert said == "no recipe is written, since dataset=npz may be any graph; train with:"
    words = shlex.split(command.removeprefix("depthlab train "))
    again = compose_settings(words)
    assert (again.p_drop, again.dropout, again.hidden) == (0.123, 0.1, 16)
    assert again.dataset.normalize_features is True

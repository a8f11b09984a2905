"""Parent runs: curves by depth over real cells, written once, made anew when a study grows."""

import json
import math
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from depthlab.config.errors import UserError
from depthlab.config.settings import compose_settings
from depthlab.data.prepare import load
from depthlab.report.cells import read_report
from depthlab.study.lines import GRID, by_depth, lines_of
from depthlab.study.plan import make_plan
from depthlab.tracking.search import PARENT, Recorded
from depthlab.training.identity import STATES
from tests.study.conftest import Study

ONE = {"GCN": "model=gcn"}
Make = Callable[..., Recorded]


def points(study: Study) -> dict[str, list[tuple[str, int, float]]]:
    """Every metric point of every parent."""
    client = study.records.client
    found: dict[str, list[tuple[str, int, float]]] = {}
    for label, run in study.parents().items():
        history = [point for name in run.metrics for point in client.get_metric_history(run.run_id, name)]
        found[label] = sorted((point.key, point.step, point.value) for point in history)
    return found


def test_curves_are_those_of_the_cells(study: Study) -> None:
    assert study.run(study.cells("seed=0,1,2", lines=ONE))
    parent = study.parents()["GCN"]
    children = [run for run in study.finished().values() if run.tags[PARENT] == parent.run_id]
    assert len(children) == 6
    expected: list[Any] = []
    for depth in (2, 4):
        runs = [run.metrics for run in children if run.tags["depth"] == str(depth)]
        seconds = [run.training_seconds for run in children if run.tags["depth"] == str(depth)]
        scores = [metrics["test_acc"] for metrics in runs]
        interval = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
        values = {
            "depth/test_acc": sum(scores) / 3,
            "depth/test_acc_low": interval.low,
            "depth/test_acc_high": interval.high,
            "depth/val_acc": statistics.fmean(metrics["best_val_acc"] for metrics in runs),
            "depth/train_acc": statistics.fmean(metrics["best_train_acc"] for metrics in runs),
            "depth/runs": 3,
            "depth/seconds": statistics.fmean(seconds),
        }
        for name in compose_settings([])["measures"]:
            values[f"depth/{name}"] = statistics.median(metrics[f"layer/{name}"] for metrics in runs)
        expected += [(name, depth, pytest.approx(value)) for name, value in values.items()]
    assert points(study)["GCN"] == sorted(expected, key=lambda point: point[:2])
    assert (parent.status, parent.tags["outcome"], parent.name) == ("FINISHED", "finished", "small: csbm GCN")
    assert parent.tags["verdicts"].startswith("2: 3 ")


def test_the_grid_lists_its_cells(study: Study, tmp_path: Path) -> None:
    cells = study.cells(lines=ONE, film={"depth": 4, "seed": 0})
    assert study.run(cells)
    copy = study.records.file(study.parents()["GCN"].run_id, GRID, tmp_path)
    assert copy is not None
    data = load(cells[0].settings["dataset"])[1]
    assert json.loads(copy.read_text()) == [
        {"config_hash": cell.hash, "data_hash": data, "depth": cell.depth, "seed": cell.seed, "split": "0",
         "film": (cell.depth, cell.seed) == (4, 0)}
        for cell in cells
    ]  # fmt: skip
    runs = study.finished().values()
    assert [run.tags["depth"] for run in runs if study.records.file(run.run_id, STATES, tmp_path)] == ["4"]


def test_a_file_for_each_line(study: Study) -> None:
    cells = study.cells(lines={"GCN": "model=gcn", "GCN + DropEdge 0.2": "model=gcn p_drop=0.2"})
    assert study.run(cells)
    folder = study.folder / "results" / "small" / "lines"
    assert {path.name for path in folder.iterdir()} == {"csbm-gcn.json", "csbm-gcn-dropedge-0-2.json"}
    plan = study.plan(cells)
    for line in lines_of(cells):
        content = json.loads(line.file("small").read_text())
        assert content == {str(depth): point for depth, point in by_depth(line, plan).items()}
        assert content["2"]["runs"] == 2


def test_the_same_study_again_adds_nothing(study: Study) -> None:
    cells = study.cells()
    assert study.run(cells)
    before = {run.run_id for run in study.records.runs()}, points(study)
    assert study.run(cells)
    assert ({run.run_id for run in study.records.runs()}, points(study)) == before


def test_a_wider_grid_replaces_the_parent(study: Study) -> None:
    assert study.run(study.cells("depth=2", lines=ONE))
    old, cells = study.parents()["GCN"].run_id, set(study.finished())
    assert study.run(study.cells("depth=2,3", lines=ONE))
    new = study.parents()["GCN"].run_id
    assert new != old
    assert study.records.client.get_run(old).info.lifecycle_stage == "deleted"
    assert cells < set(study.finished())
    assert {run.tags[PARENT] for run in study.finished().values()} == {new}
    curve = [(step, name) for name, step, _ in points(study)["GCN"] if name == "depth/test_acc"]
    assert [step for step, _ in curve] == [2, 3]


def test_only_leaves_the_other_lines_alone_and_a_line_that_left_the_study_leaves_the_records(study: Study) -> None:
    assert study.run(study.cells("seed=0"))
    before = study.parents()
    assert study.run(study.cells("seed=0", "depth=2,3"), only=["GCN"])
    after = study.parents()
    assert after["GCNII"] == before["GCNII"]
    assert after["GCN"].run_id != before["GCN"].run_id
    assert {run.tags["line"] for run in study.finished().values() if run.tags["depth"] == "3"} == {"GCN"}
    assert study.run(study.cells("seed=0", lines=ONE))
    assert set(study.parents()) == {"GCN"}
    assert len(study.finished()) == 5  # the cells of GCNII stay


def test_a_line_keeps_its_colour_when_it_is_run_alone(study: Study) -> None:
    cells = study.cells("seed=0", "depth=2")
    assert study.run(cells, name="all")
    assert study.run(cells, name="some", only=["GCNII"])
    runs = study.records.runs("tags.kind = 'study'")
    colours = {(run.tags["study"], run.tags["line"]): run.tags["mlflow.runColor"] for run in runs}
    assert colours["some", "GCNII"] == colours["all", "GCNII"] != colours["all", "GCN"]


def test_lines_that_differ_in_punctuation_alone_are_refused(study: Study) -> None:
    with pytest.raises(UserError, match=r"^two lines would write the file csbm-gcn-0-2\.json: rename 'GCN 0"):
        lines_of(study.cells("depth=2", lines={"GCN 0.2": "model=gcn", "GCN 0,2": "model=mlp"}))


def test_a_study_that_lost_its_lists_of_cells_writes_them_again(study: Study, tmp_path: Path) -> None:
    assert study.run(study.cells("seed=0", "depth=2", lines=ONE))
    parent, runs = study.parents()["GCN"], set(study.finished())
    shutil.rmtree(study.folder / "mlartifacts")
    with pytest.raises(UserError, match=r"the report of small would be incomplete: the list of cells of GCN on csbm"):
        read_report(study.records, "small")
    assert study.run(study.cells("seed=0", "depth=2"))  # with one line more
    assert study.parents()["GCN"] == parent
    assert runs < set(study.finished())
    assert set(read_report(study.records, "small").cells["line"]) == {"GCN", "GCNII"}


def test_labels_of_any_length_and_kind_are_written(study: Study) -> None:
    paths = [f"GCN /data/{'x' * 240}/{name}.npz" for name in "ab"]
    labels = [*paths, "y" * 300, "../../z", "a\x1b[31m"]
    lines = {label: f"model=gcn lr=0.0{k + 1}" for k, label in enumerate(labels)}
    cells = study.cells("seed=0", "depth=2", "epochs=1", lines=lines)
    assert study.run(cells)
    files = [line.file("small") for line in lines_of(cells)]
    assert len(set(files)) == len(labels)
    assert all(path.is_file() and path.parent == study.folder / "results" / "small" / "lines" for path in files)
    assert list(read_report(study.records, "small").cells["line"]) == labels


def test_another_study_shares_the_cells_and_adopts_those_whose_parent_is_gone(study: Study) -> None:
    cells = study.cells("seed=0", lines=ONE)
    assert study.run(cells, name="one")
    first, runs = study.parents()["GCN"], set(study.finished())
    for name in ("two", "three"):
        assert study.run(cells, name=name)
        parents = {run.tags["study"]: run.run_id for run in study.records.runs("tags.kind = 'study'")}
        assert set(study.finished()) == runs
        owner = first.run_id if name == "two" else parents["three"]
        assert {run.tags[PARENT] for run in study.finished().values()} == {owner}
        for run_id in parents.values() if name == "two" else ():
            study.records.delete(run_id)


def test_runs_that_are_missing_from_a_mean_are_counted(study: Study, recorded: Make) -> None:
    cells = study.cells("depth=2", "seed=range(4)", lines=ONE)
    data = load(cells[0].settings["dataset"])[1]
    good: dict[str, Any] = {"test_acc": 0.8, "layer/dirichlet_energy": 0.5, "layer/effective_rank": 3.0}
    bad = {"layer/dirichlet_energy": math.nan, "layer/effective_rank": math.inf}
    runs = [recorded(cells[0], data, metrics=good, verdict="healthy")]
    runs += [recorded(cell, data, metrics=bad, outcome="diverged", verdict="diverged") for cell in cells[1:3]]
    (line,) = lines_of(cells)
    assert by_depth(line, make_plan(cells, runs, same_code=False)) == {
        2: {"runs": 4, "test_acc": 0.8, "test_acc_runs": 1, "dirichlet_energy": 0.5,
            "dirichlet_energy_runs": 1, "effective_rank": 3.0, "effective_rank_runs": 1,
            "seconds": 0.0, "seconds_runs": 3,
            "verdicts": "2 diverged, 1 healthy, 1 without a result"}
    }  # fmt: skip


def test_runs_with_the_metric_names_of_an_older_version_do_not_count(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = study.cells("depth=2", "seed=0", lines=ONE)
    assert study.run(cells)
    (run,) = study.finished().values()
    study.records.client.log_metric(run.run_id, "train_loss", 0.5)
    capsys.readouterr()
    assert study.run(cells)
    out, err = capsys.readouterr()
    assert "1 cells, 0 done, 1 to do" in out
    assert "study small has runs of an older version, whose metrics have other names" in err


def test_a_line_that_diverged_is_still_json(study: Study) -> None:
    cells = study.cells("depth=2", "seed=0", "lr=1e30", lines=ONE)
    assert study.run(cells)
    (line,) = lines_of(cells)
    content = json.loads(line.file("small").read_text(), parse_constant=pytest.fail)
    assert content["2"]["verdicts"] == "1 diverged"

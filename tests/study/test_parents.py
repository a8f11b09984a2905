"""Parent runs: curves by depth over real runs, written once, made anew when a study grows."""

import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from scipy import stats

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.report.runs import read_report
from depthlab.study.grid import PlannedRun
from depthlab.study.methods import by_depth, methods_of
from depthlab.study.parents import GRID, Curves
from depthlab.tracking.search import PARENT, Recorded, Records
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


def test_curves_are_those_of_the_runs(study: Study) -> None:
    assert study.run(study.planned("seed=0,1,2", methods=ONE))
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
        for name in compose_settings([]).measures:
            values[f"depth/{name}"] = statistics.median(metrics[f"layer/{name}"] for metrics in runs)
        expected += [(name, depth, pytest.approx(value)) for name, value in values.items()]
    assert points(study)["GCN"] == sorted(expected, key=lambda point: point[:2])
    assert (parent.status, parent.tags["outcome"], parent.name) == ("FINISHED", "finished", "small: csbm GCN")
    assert parent.tags["verdicts"].startswith("2: 3 ")


def test_the_grid_lists_its_runs(study: Study, tmp_path: Path) -> None:
    planned = study.planned(methods=ONE, animation={"depth": 4, "seed": 0})
    assert study.run(planned)
    copy = study.records.file(study.parents()["GCN"].run_id, GRID, tmp_path)
    assert copy is not None
    data = load(planned[0].settings.dataset)[1]
    assert json.loads(copy.read_text()) == [
        {"config_hash": one.hash, "data_hash": data, "depth": one.depth, "seed": one.seed, "split": "0",
         "animated": (one.depth, one.seed) == (4, 0)}
        for one in planned
    ]  # fmt: skip
    runs = study.finished().values()
    assert [run.tags["depth"] for run in runs if study.records.file(run.run_id, STATES, tmp_path)] == ["4"]


def test_a_file_for_each_line(study: Study) -> None:
    planned = study.planned(methods={"GCN": "model=gcn", "GCN + DropEdge 0.2": "model=gcn p_drop=0.2"})
    assert study.run(planned)
    folder = study.folder / "results" / "small" / "methods"
    assert {path.name for path in folder.iterdir()} == {"csbm-gcn.json", "csbm-gcn-dropedge-0-2.json"}
    plan = study.plan(planned)
    for method in methods_of(planned):
        content = json.loads(method.file("small").read_text())
        assert content == {str(depth): point for depth, point in by_depth(method, plan).items()}
        assert content["2"]["runs"] == 2


def test_the_same_study_again_adds_nothing(study: Study) -> None:
    planned = study.planned()
    assert study.run(planned)
    before = {run.run_id for run in study.records.runs()}, points(study)
    assert study.run(planned)
    assert ({run.run_id for run in study.records.runs()}, points(study)) == before


def test_a_wider_grid_replaces_the_parent(study: Study) -> None:
    assert study.run(study.planned("depth=2", methods=ONE))
    old, planned = study.parents()["GCN"].run_id, set(study.finished())
    assert study.run(study.planned("depth=2,3", methods=ONE))
    new = study.parents()["GCN"].run_id
    assert new != old
    assert study.records.client.get_run(old).info.lifecycle_stage == "deleted"
    assert planned < set(study.finished())
    assert {run.tags[PARENT] for run in study.finished().values()} == {new}
    curve = [(step, name) for name, step, _ in points(study)["GCN"] if name == "depth/test_acc"]
    assert [step for step, _ in curve] == [2, 3]


def test_only_leaves_the_other_methods_alone_and_a_method_that_left_the_study_leaves_the_records(study: Study) -> None:
    assert study.run(study.planned("seed=0"))
    before = study.parents()
    assert study.run(study.planned("seed=0", "depth=2,3"), only=["GCN"])
    after = study.parents()
    assert after["GCNII"] == before["GCNII"]
    assert after["GCN"].run_id != before["GCN"].run_id
    assert {run.tags["method"] for run in study.finished().values() if run.tags["depth"] == "3"} == {"GCN"}
    assert study.run(study.planned("seed=0", methods=ONE))
    assert set(study.parents()) == {"GCN"}
    assert len(study.finished()) == 5  # the runs of GCNII stay


def test_a_method_keeps_its_colour_when_it_is_run_alone(study: Study) -> None:
    planned = study.planned("seed=0", "depth=2")
    assert study.run(planned, name="all")
    assert study.run(planned, name="some", only=["GCNII"])
    runs = study.records.runs("tags.kind = 'study'")
    colours = {(run.tags["study"], run.tags["method"]): run.tags["mlflow.runColor"] for run in runs}
    assert colours["some", "GCNII"] == colours["all", "GCNII"] != colours["all", "GCN"]


class Watched(Curves):
    """Notes which depths of the only method are in the store after each run."""

    seen: ClassVar[list[tuple[int, set[int]]]] = []

    def ended(self, run: PlannedRun) -> None:
        super().ended(run)
        (method,) = self.methods.values()
        assert method.tracked
        method.tracked.flush()
        self.seen.append((run.depth, self.records.steps(method.parent, "depth/test_acc")))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, set[int]]]:
    """(depth of a run that has ended, depths of the parent run then), in turn."""
    monkeypatch.setattr("depthlab.study.run.Curves", Watched)
    monkeypatch.setattr(Watched, "seen", [])
    return Watched.seen


def test_a_point_is_written_when_all_runs_of_its_depth_have_results(
    study: Study, seen: list[tuple[int, set[int]]]
) -> None:
    assert study.run(study.planned("seed=0,1", methods=ONE))
    assert sorted(depth for depth, _ in seen[:2]) in ([2, 2], [4, 4])
    first = seen[0][0]
    assert [depths for _, depths in seen] == [set(), {first}, {first}, {2, 4}]


def test_a_depth_with_a_failed_run_has_its_point_at_the_end(
    study: Study, seen: list[tuple[int, set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0,1", "depth=2", methods=ONE)
    failing = replace(planned[0], settings=replace(planned[0].settings, measures=["nothing"]))
    assert not study.run([failing, planned[1]])
    assert seen == [(2, set()), (2, set())]
    assert study.parents()["GCN"].metrics["depth/test_acc_runs"] == 1


def test_a_store_without_an_answer_delays_the_points(
    study: Study, seen: list[tuple[int, set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asked = Records.runs, []

    def refuse(self: Records, condition: str = "") -> list[Recorded]:
        if "tags.depth" in condition:
            asked.append(condition)
            raise ValueError("no JSON")
        return runs(self, condition)

    monkeypatch.setattr(Records, "runs", refuse)
    assert study.run(study.planned("seed=0", methods=ONE))
    assert len(asked) == 1 and [depths for _, depths in seen] == [set(), set()]
    assert {step for _, step, _ in points(study)["GCN"]} == {2, 4}


@pytest.mark.usefixtures("second_run_interrupted")
def test_a_parent_with_points_is_reused_after_an_interruption(study: Study) -> None:
    planned = study.planned("seed=0", methods=ONE)
    with pytest.raises(KeyboardInterrupt):
        study.run(planned)
    (parent,) = study.records.runs("tags.kind = 'study'")
    assert len(study.records.steps(parent.run_id, "depth/runs")) == 1
    assert study.run(planned)
    assert study.parents()["GCN"].run_id == parent.run_id
    names = [(name, step) for name, step, _ in points(study)["GCN"]]
    assert len(names) == len(set(names)) and {step for _, step in names} == {2, 4}


def test_an_interrupted_parent_with_points_of_other_runs_is_replaced(study: Study) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned)
    parent = study.parents()["GCN"]
    study.records.client.set_terminated(parent.run_id, "KILLED")
    study.records.tag(parent.run_id, "content", "other")
    study.records.tag(parent.run_id, "point/4", "other")
    assert study.run(planned)
    assert study.parents()["GCN"].run_id != parent.run_id


def test_results_of_other_code_complete_no_depth(study: Study) -> None:
    planned = study.planned("seed=0", "depth=2", methods=ONE)
    assert study.run(planned)
    (run,) = study.finished().values()
    plan = study.plan(planned)
    plan.todo, plan.done = plan.runs, {}
    study.records.tag(run.run_id, "code_hash", "other")
    plan.add(study.records.runs())
    assert not plan.done
    study.records.tag(run.run_id, "code_hash", run.tags["code_hash"])
    plan.add(study.records.runs())
    assert set(plan.done) == {planned[0].hash}


def test_a_study_that_lost_its_lists_of_runs_writes_them_again(study: Study, tmp_path: Path) -> None:
    assert study.run(study.planned("seed=0", "depth=2", methods=ONE))
    parent, runs = study.parents()["GCN"], set(study.finished())
    shutil.rmtree(study.folder / "mlartifacts")
    with pytest.raises(UserError, match=r"the report of small would be incomplete: .* cannot be read for GCN on csbm;"):
        read_report(study.records, "small")
    assert study.run(study.planned("seed=0", "depth=2"))  # with one method more
    assert study.parents()["GCN"] == parent
    assert runs < set(study.finished())
    assert set(read_report(study.records, "small").runs["method"]) == {"GCN", "GCNII"}


def test_labels_of_any_length_and_kind_are_written(study: Study) -> None:
    paths = [f"GCN /data/{'x' * 240}/{name}.npz" for name in "ab"]
    labels = [*paths, "y" * 300, "../../z", "a\x1b[31m"]
    methods = {label: f"model=gcn lr=0.0{k + 1}" for k, label in enumerate(labels)}
    planned = study.planned("seed=0", "depth=2", "epochs=1", methods=methods)
    assert study.run(planned)
    files = [method.file("small") for method in methods_of(planned)]
    assert len(set(files)) == len(labels)
    assert all(path.is_file() and path.parent == study.folder / "results" / "small" / "methods" for path in files)
    assert list(read_report(study.records, "small").runs["method"]) == labels


def test_another_study_shares_the_runs_and_adopts_those_whose_parent_is_gone(study: Study) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned, name="one")
    first, runs = study.parents()["GCN"], set(study.finished())
    for name in ("two", "three"):
        assert study.run(planned, name=name)
        parents = {run.tags["study"]: run.run_id for run in study.records.runs("tags.kind = 'study'")}
        assert set(study.finished()) == runs
        owner = first.run_id if name == "two" else parents["three"]
        assert {run.tags[PARENT] for run in study.finished().values()} == {owner}
        for run_id in parents.values() if name == "two" else ():
            study.records.delete(run_id)


@pytest.mark.parametrize(("spoilt", "done"), [("metrics", 0), ("parent metrics", 1), ("tags", 1)])
def test_a_study_of_an_older_version_is_recorded_again(
    study: Study, capsys: pytest.CaptureFixture[str], spoilt: str, done: int
) -> None:
    planned = study.planned("depth=2", "seed=0", methods=ONE)
    assert study.run(planned)
    old, client = study.parents()["GCN"].run_id, study.records.client
    if spoilt == "metrics":
        client.log_metric(next(iter(study.finished())), "train_loss", 0.5)
    elif spoilt == "parent metrics":
        client.log_metric(old, "test_acc_by_depth", 0.5, step=2)
    else:
        client.delete_tag(old, "method")
        client.set_tag(old, "line", "GCN")
    with pytest.raises(UserError, match=r"^study small was recorded by an older version .* \(line, now method;"):
        read_report(study.records, "small")
    capsys.readouterr()
    assert study.run(planned)
    out, err = capsys.readouterr()
    assert f"1 runs, {done} done, {1 - done} to do" in out
    assert "study small was recorded by an older version with other names (line, now method;" in err
    assert study.parents()["GCN"].run_id != old
    assert list(read_report(study.records, "small").runs["method"]) == ["GCN"]


def test_a_method_that_diverged_is_still_json(study: Study) -> None:
    planned = study.planned("depth=2", "seed=0", "lr=1e30", methods=ONE)
    assert study.run(planned)
    (method,) = methods_of(planned)
    content = json.loads(method.file("small").read_text(), parse_constant=pytest.fail)
    assert content["2"]["verdicts"] == "1 diverged"

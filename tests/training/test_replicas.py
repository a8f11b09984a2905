"""Several runs at once in this process: each is the run that it would be by itself."""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.tracking.run import TrackedRun
from depthlab.training.identity import FINAL, LAST, checkpoint_folder
from depthlab.training.member import Member
from depthlab.training.replica_settings import replica_settings
from depthlab.training.replicas import run_replicas
from depthlab.training.result import Result
from depthlab.training.run import run

Compose = Callable[..., Settings]
SMALL = ("dataset.signal=0.4", "hidden=8", "depth=3")


def pair(settings: Compose, *typed: str) -> tuple[list[Settings], list[Settings]]:
    """Three replicas, and the same as runs by themselves, recorded under another name."""
    several = replica_settings(settings(*SMALL, "replicas=3", *typed))
    alone = [replace(one, tracking=replace(one.tracking, experiment="alone")) for one in several]
    return several, alone


def together(several: list[Settings]) -> dict[str, Result]:
    return {one.name: one for one in run_replicas(several, [{} for _ in several])}


def curve(result: Result, metric: str) -> list[tuple[int, float]]:
    points = MlflowClient(result.uri).get_metric_history(result.run_id, metric)
    return sorted((point.step, point.value) for point in points)


def split_of(name: str) -> str:
    """The number in `...-split2-...`."""
    return name.partition("-split")[2].partition("-")[0]


def assert_same_run(ours: Result, theirs: Result) -> None:
    timed = {"seconds_per_epoch"}
    assert ours.outcome == theirs.outcome and ours.scores.keys() == theirs.scores.keys()
    assert ours.statistics.keys() == theirs.statistics.keys()
    numbers, expected = ours.scores | ours.statistics, theirs.scores | theirs.statistics
    for name in numbers.keys() - timed:
        assert numbers[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-5), name
    assert ours.curves.keys() == theirs.curves.keys()
    for name, values in ours.curves.items():
        assert values == pytest.approx(theirs.curves[name], rel=1e-2, abs=1e-5, nan_ok=True), name
    assert ours.diagnosis.verdict == theirs.diagnosis.verdict
    records = [MlflowClient(one.uri).get_run(one.run_id) for one in (ours, theirs)]
    assert records[0].info.run_name == records[1].info.run_name and records[0].info.status == "FINISHED"
    others = {"replicas", "evidence", *timed}
    tags = [{k: v for k, v in one.data.tags.items() if k not in others} for one in records]
    assert tags[0] == tags[1]
    params = [{k: v for k, v in one.data.params.items() if k != "tracking.experiment"} for one in records]
    assert params[0] == params[1]
    assert records[0].data.metrics.keys() == records[1].data.metrics.keys()
    for name in ("epoch/train_loss", "epoch/val_loss", "epoch/val_acc"):
        mine, alone = curve(ours, name), curve(theirs, name)
        assert [step for step, _ in mine] == [step for step, _ in alone]
        assert [value for _, value in mine] == pytest.approx([value for _, value in alone], rel=1e-3, abs=1e-3), name


@pytest.mark.parametrize("typed", [
    ("model=gcnii", "p_drop=0.3", "epochs=40", "patience=1", "lr=0.1"),
    ("model=gcn", "replicate=seed", "epochs=12", "dropout=0"),
    ("model=gcn", "epochs=12", "optimizer=adamax"),
    ("model=gcn", "epochs=30", "patience=3", "optimizer=sgd", "lr=0.5"),
], ids=["splits", "seeds", "adamax", "sgd"])  # fmt: skip
def test_each_replica_equals_a_single_run(settings: Compose, typed: tuple[str, ...]) -> None:
    several, alone = pair(settings, *typed)
    found = together(several)
    singles = {one.name: one for one in map(run, alone)}
    assert found.keys() == singles.keys() and len(found) == 3
    for name, result in found.items():
        assert_same_run(result, singles[name])
    if "patience=1" in typed:
        assert len({result.statistics["epochs_run"] for result in found.values()}) > 1
    assert not any((checkpoint_folder(one) / LAST).exists() for one in several)
    assert all((checkpoint_folder(one) / FINAL).is_file() for one in several)
    tags = [MlflowClient(one.uri).get_run(one.run_id).data.tags for one in found.values()]
    assert {one["replicas"] for one in tags} == {"3"}


def test_a_diverged_one_is_a_result(settings: Compose) -> None:
    several, _ = pair(settings, "model=gcnii", "lr=1e30", "epochs=5")
    assert {one.outcome for one in together(several).values()} == {"diverged"}


def interrupted_at(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in that epoch."""
    log = TrackedRun.log

    def press(self: TrackedRun, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if "epoch/train_loss" in metrics and step == epoch:
            monkeypatch.setattr(TrackedRun, "log", log)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrackedRun, "log", press)


@pytest.mark.slow
@pytest.mark.parametrize("by_itself", [False, True], ids=["together", "alone"])
def test_an_interrupted_group_goes_on_to_the_same_result(
    settings: Compose, by_itself: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, alone = pair(settings, "model=gcnii", "epochs=30", "patience=12")
    interrupted_at(7, monkeypatch)
    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted after 8 epochs: go on with the same command and ckpt=last$"
    ):
        together(several)
    client = MlflowClient(several[0].tracking.uri)
    place = client.get_experiment_by_name("depthlab").experiment_id
    before = client.search_runs([place])
    assert {one.data.tags["outcome"] for one in before} == {"interrupted"}
    last = [replace(one, ckpt="last") for one in several]
    found = {one.name: one for one in map(run, last)} if by_itself else together(last)
    assert {one.run_id for one in found.values()} == {one.info.run_id for one in before}
    for single in map(run, alone):
        ours = found[single.name]
        assert ours.scores["test_acc"] == pytest.approx(single.scores["test_acc"], abs=1e-5)
        assert ours.statistics["best_epoch"] == single.statistics["best_epoch"]
        assert len(curve(ours, "epoch/train_loss")) == single.statistics["epochs_run"]


def asked_while_finishing(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the run of that split is tested and recorded."""
    finish = Member.finish

    def press(self: Member, weights: Any) -> Result:
        if self.settings.split == split:
            os.kill(os.getpid(), signal.SIGINT)
        return finish(self, weights)

    monkeypatch.setattr(Member, "finish", press)


def test_ctrl_c_while_one_is_recorded_loses_nothing_of_the_others(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, alone = pair(settings, "model=gcnii", "lr=0.1", "epochs=60", "patience=2")
    lengths = {one.split: run(one).statistics["epochs_run"] for one in alone}
    first = min(lengths, key=lambda split: lengths[split])
    assert len(set(lengths.values())) > 1
    asked_while_finishing(first, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match=rf"^interrupted after {lengths[first]:.0f} epochs?: go on"):
        together(several)
    found = together([replace(one, ckpt="last") for one in several])
    later = {split: count for split, count in lengths.items() if count > lengths[first]}
    assert {split_of(name): one.statistics["epochs_run"] for name, one in found.items()} == later


def test_ctrl_c_while_the_last_are_recorded_comes_too_late(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    several, _ = pair(settings, "model=gcn", "epochs=3", "patience=30")
    asked_while_finishing("0", monkeypatch)
    assert {one.outcome for one in together(several).values()} == {"finished"}


def test_whoever_stops_reading_results_leaves_no_run_open(settings: Compose) -> None:
    several, _ = pair(settings, "model=gcn", "epochs=3", "patience=30")
    results = run_replicas(several, [{} for _ in several])
    next(results)
    results.close()  # type: ignore[attr-defined]
    client = MlflowClient(several[0].tracking.uri)
    place = client.get_experiment_by_name("depthlab").experiment_id
    outcomes = sorted(one.data.tags["outcome"] for one in client.search_runs([place]))
    assert outcomes == ["finished", "interrupted", "interrupted"]


def test_an_error_before_the_first_epoch_leaves_no_run_open(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no gradient")

    several, _ = pair(settings, "model=gcn", "epochs=3")
    monkeypatch.setattr("depthlab.training.member.training_gradient_norms", fail)
    with pytest.raises(ValueError, match="no gradient"):
        together(several)
    client = MlflowClient(several[0].tracking.uri)
    runs = client.search_runs([client.get_experiment_by_name("depthlab").experiment_id])
    assert [one.info.status for one in runs] == ["FAILED"] * 3


def test_what_has_finished_is_left_out_when_the_rest_goes_on(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, _ = pair(settings, "model=gcnii", "epochs=30", "patience=30")
    finish = Member.finish

    def fail(self: Member, weights: Any) -> Result:
        if self.settings.split == "1":
            raise RuntimeError("full")
        return finish(self, weights)

    monkeypatch.setattr(Member, "finish", fail)
    with pytest.raises(RuntimeError, match="full"):
        together(several)
    monkeypatch.setattr(Member, "finish", finish)
    found = together([replace(one, ckpt="last") for one in several])
    assert sorted(map(split_of, found)) == ["1", "2"]
    with pytest.raises(UserError, match="has finished: leave ckpt=last out"):
        together([replace(one, ckpt="last") for one in several])


def test_an_architecture_that_cannot_is_refused(settings: Compose) -> None:
    several = replica_settings(settings("model=gat", "replicas=2"))
    with pytest.raises(UserError, match=r"^GAT cannot be trained as replicas, whose weights are stacked: leave "):
        together(several)


def test_replicas_that_do_not_fit_into_the_memory_are_refused(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthlab.training.memory.free_memory", lambda: 1e5)
    with pytest.raises(UserError, match=r"^3 replicas need at least 0\.0 GB of memory, 0\.0 GB are free: use fewer"):
        together(pair(settings, "model=gcn")[0])


def test_more_runs_than_open_files_are_refused_before_a_folder_is_made(settings: Compose) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=2")
    many = [replace(chosen, seed=seed) for seed in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
    with pytest.raises(UserError, match=r"^\d+ runs at once need \d+ open files, the limit is \d+: use fewer replicas"):
        next(iter(run_replicas(many, [{}] * len(many))))
    assert not checkpoint_folder(chosen).parent.exists()

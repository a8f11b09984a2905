"""Runs one after another in this process: what ends, fails and goes on."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthlab.config.errors import ReplicasError
from depthlab.parallel import Stop, TaskResult, execute, local
from depthlab.study.grid import PlannedRun
from depthlab.study.work import Job, work
from depthlab.training.identity import LAST, STATES, checkpoint_folder
from depthlab.training.memory import check_memory
from tests.settings import dataset_settings
from tests.study.conftest import Study

ONE = {"GCN": "model=gcn"}
LONG = ("depth=2", "epochs=200", "patience=200", "checkpoint_every=10")


def execute_here(planned: list[PlannedRun], stop: Stop | None = None) -> list[TaskResult[tuple[Job, ...]]]:
    jobs: list[tuple[Job, ...]] = [(Job(planned_run, {"study": "small"}),) for planned_run in planned]
    return list(execute(jobs, work, local(1), stop or Stop("")))


def test_every_run_is_run_in_order(study: Study) -> None:
    planned = study.planned("seed=0")
    done = execute_here(planned)
    assert [one.task[0].run for one in done] == planned
    assert {one.outcome for one in done} == {"finished"}
    runs = study.records.runs()
    assert [run.tags["config_hash"] for run in runs] == [planned_run.hash for planned_run in planned]
    for one, run in zip(done, runs, strict=True):
        assert one.sentence == f"test accuracy {100 * run.metrics['test_acc']:.1f} %, {run.tags['verdict']}"
        assert one.seconds > 0
    assert {run.tags["study"] for run in runs} == {"small"}


def test_a_diverged_run_is_a_result(study: Study) -> None:
    (done,) = execute_here(study.planned("lr=1e30", "seed=0", "depth=2", methods=ONE))
    assert (done.outcome, done.sentence) == ("diverged", "diverged")


def test_a_run_that_fails_does_not_stop_the_others(study: Study) -> None:
    planned = study.planned("seed=0,1,2", "depth=2", methods=ONE)
    gone = str(study.folder / "gone.npz")
    missing = dataset_settings(target="depthlab.data.heterophilous.read_npz", path=gone)
    nothing = replace(planned[1].settings.model, target="depthlab.nn.gcn.Nothing")
    planned[0] = replace(planned[0], settings=replace(planned[0].settings, dataset=missing))
    planned[1] = replace(planned[1], settings=replace(planned[1].settings, model=nothing))
    done = execute_here(planned)
    assert [one.outcome for one in done] == ["failed", "failed", "finished"]
    assert gone in done[0].sentence
    assert "Nothing" in done[1].sentence
    assert not any("\n" in one.sentence for one in done)


def test_runs_that_do_not_fit_in_memory_at_once_are_trained_in_halves(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_most_two(*of: Any) -> None:
        if of[-1] > 2:
            raise ReplicasError("too many")
        check_memory(*of)

    monkeypatch.setattr("depthlab.training.replicas.check_memory", at_most_two)
    planned = study.planned("seed=range(5)", "depth=2", methods=ONE)
    outcome, sentence = work(tuple(Job(planned_run, {"study": "small"}) for planned_run in planned), 1)
    assert outcome == "finished" and sentence.count("test ") == 3
    runs = study.records.runs()
    assert {run.tags["config_hash"] for run in runs} == {planned_run.hash for planned_run in planned}
    assert sorted(run.tags.get("replicas", "1") for run in runs) == ["1", "2", "2", "2", "2"]


def test_an_interrupted_run_goes_on_from_its_checkpoint(study: Study) -> None:
    planned = study.planned(*LONG, "seed=0,1", methods=ONE)
    last = checkpoint_folder(planned[0].settings) / LAST

    def press() -> None:
        deadline = time.monotonic() + 60
        while not last.is_file() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with Stop("") as stop:
        (done,) = execute_here(planned, stop)
    thread.join()
    assert (done.task[0].run, done.outcome) == (planned[0], "interrupted")
    assert stop.requested  # so the second run did not begin
    (before,) = study.records.runs()

    assert [one.outcome for one in execute_here(planned)] == ["finished", "finished"]
    after = study.records.runs()
    assert [run.tags["config_hash"] for run in after] == [planned_run.hash for planned_run in planned]
    assert after[0].run_id == before.run_id
    steps = study.records.client.get_metric_history(before.run_id, "epoch/train_loss")
    assert sorted(point.step for point in steps) == list(range(200))


@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_a_checkpoint_that_belongs_elsewhere_does_not_stop_a_cell(study: Study, content: bytes) -> None:
    (planned_run,) = study.planned("depth=2", "seed=0", methods=ONE)
    folder = checkpoint_folder(planned_run.settings)
    folder.mkdir(parents=True)
    (folder / LAST).write_bytes(content)
    assert [one.outcome for one in execute_here([planned_run])] == ["finished"]
    assert not (folder / LAST).exists()


def test_a_run_of_the_animation_records_its_states(study: Study, tmp_path: Path) -> None:
    execute_here(study.planned("depth=2", "seed=0,1", methods=ONE, animation={"seed": 1}))
    kept = [study.records.file(run.run_id, STATES, tmp_path) is not None for run in study.records.runs()]
    assert kept == [False, True]


@pytest.mark.parametrize("replicas", [False, True])
def test_a_run_whose_run_was_deleted_starts_again(
    study: Study, monkeypatch: pytest.MonkeyPatch, replicas: bool
) -> None:
    planned = study.planned("depth=2", "seed=0,1", methods=ONE)
    jobs = tuple(Job(planned_run, {"study": "small"}) for planned_run in planned)
    groups = [jobs] if replicas else [(job,) for job in jobs]

    def full(*_: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as scope:
        for module in ("run", "member"):
            scope.setattr(f"depthlab.training.{module}.evaluate", full)
        assert {one.outcome for one in execute(groups, work, local(1), Stop(""))} == {"failed"}
    assert all((checkpoint_folder(planned_run.settings) / LAST).is_file() for planned_run in planned)
    for run in study.records.runs():
        study.records.delete(run.run_id)
    assert {one.outcome for one in execute(groups, work, local(1), Stop(""))} == {"finished"}
    assert {run.tags["config_hash"] for run in study.finished().values()} == {
        planned_run.hash for planned_run in planned
    }

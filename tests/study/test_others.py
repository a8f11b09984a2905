"""Runs of other commands: those of dead processes are closed, and the study waits for the others."""

import pytest
from filelock import FileLock

from depthlab.config.errors import UserError
from depthlab.study.grid import PlannedRun
from depthlab.tracking.close import close
from depthlab.tracking.owner import OWNER, owner
from depthlab.tracking.run import TrackedRun
from depthlab.training.identity import LOCK, checkpoint_folder
from tests.study.conftest import Study

ONE = {"GCN": "model=gcn"}
Capture = pytest.CaptureFixture[str]


def left_open(study: Study, planned_run: PlannedRun, owner: str) -> str:
    """Record a running run of a planned run with this `owner` tag; returns its id."""
    known = {
        "config_hash": planned_run.hash,
        "data_hash": study.plan([planned_run]).data[planned_run.hash],
        "outcome": "running",
    }
    run_id = TrackedRun(study.uri, "depthlab", "left", {}, known).run_id
    study.records.tag(run_id, OWNER, owner)
    return run_id


def a_dead_process() -> str:
    host, pid, start = owner().split()
    return f"{host} {pid} {float(start) - 1000:.0f}"


def test_runs_that_a_killed_command_left_open_are_closed(study: Study) -> None:
    planned_run, other = study.planned("depth=2", methods=ONE)
    killed = left_open(study, planned_run, a_dead_process())
    by_hand, elsewhere = left_open(study, planned_run, a_dead_process()), left_open(study, other, a_dead_process())
    assert study.run([planned_run])
    status = {run.run_id: (run.status, run.tags["outcome"]) for run in study.records.runs()}
    assert status[killed] == status[by_hand] == ("KILLED", "interrupted")
    assert status[elsewhere] == ("RUNNING", "running")  # no run of this study
    assert len(study.finished()) == 1


@pytest.mark.parametrize(("process", "said"), [("node7/4 12 1", "process 12 on node7"), ("", "an unknown process")])
def test_a_run_whose_process_cannot_be_seen_is_waited_for_until_a_person_closes_it(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch, process: str, said: str
) -> None:
    planned = study.planned("depth=2", "seed=0,1", methods=ONE)
    other = left_open(study, planned[0], process)

    def closed_meanwhile(_: float) -> None:
        assert len(study.finished()) == 1  # what nobody is at was done first
        assert study.records.client.get_run(other).info.status == "RUNNING"
        close(study.records, other)

    monkeypatch.setattr("depthlab.study.others.time.sleep", closed_meanwhile)
    assert study.run(planned)
    errors = capsys.readouterr().err
    assert f"taken, {said} trains it" in errors
    assert f"({said}); if that process is dead, close its run with depthlab close {other} " in errors
    assert len(study.finished()) == 2
    assert len(study.records.runs("tags.outcome = 'running'")) == 0


def test_a_result_that_another_command_records_meanwhile_is_used(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = study.planned("depth=2", "seed=0,1", methods=ONE)
    other = left_open(study, planned[0], "node7/4 12 1")

    def finished_meanwhile(_: float) -> None:
        study.records.tag(other, "outcome", "finished")
        study.records.client.set_terminated(other, "FINISHED")

    monkeypatch.setattr("depthlab.study.others.time.sleep", finished_meanwhile)
    assert study.run(planned)
    assert other in study.finished()
    assert len(study.finished()) == 2


def test_a_study_of_this_name_in_another_clone_is_left_alone(study: Study) -> None:
    tags = {"kind": "study", "study": "small", "dataset": "csbm", "method": "GCN"}
    parent = TrackedRun(study.uri, "depthlab", "small: csbm GCN", {}, tags).run_id
    planned = study.planned("depth=2", "seed=0", methods=ONE)
    study.records.tag(parent, OWNER, "node7/4 12 1")
    with pytest.raises(UserError, match=f"running already .process 12 on node7.: wait .* depthlab close {parent}"):
        study.run(planned)
    assert study.records.client.get_run(parent).info.status == "RUNNING"
    study.records.tag(parent, OWNER, a_dead_process())
    assert study.run(planned)


def test_a_run_of_another_store_that_this_clone_trains_is_tried_again_when_it_has_ended(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (planned_run,) = study.planned("depth=2", "seed=0", methods=ONE)
    folder = checkpoint_folder(planned_run.settings)
    folder.mkdir(parents=True)
    lock = FileLock(folder / LOCK)
    lock.acquire()
    looks: list[float] = []

    def ended_at_the_third_look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            lock.release()

    monkeypatch.setattr("depthlab.study.others.time.sleep", ended_at_the_third_look)
    assert study.run([planned_run])
    assert len(looks) == 3
    assert capsys.readouterr().err.count("is being trained already") == 1
    assert len(study.finished()) == 1

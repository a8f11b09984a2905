"""One study from start to end in this process: what it runs, closes, prints and refuses."""

from dataclasses import replace

import pytest
from filelock import FileLock

from depthlab.config.errors import UserError
from depthlab.study import plan
from depthlab.study.grid import PlannedRun
from depthlab.tracking.close import close
from depthlab.tracking.owner import OWNER, owner
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT
from depthlab.training import identity
from depthlab.training.identity import LAST, LOCK, checkpoint_folder
from depthlab.training.result import evaluate
from tests.study.conftest import Study

ONE = {"GCN": "model=gcn"}
Capture = pytest.CaptureFixture[str]


def test_a_study_runs_its_runs_and_says_what_came_of_them(study: Study, capsys: Capture) -> None:
    assert study.run(study.planned("seed=0"))
    out, errors = capsys.readouterr()
    assert out.startswith("study small: 4 runs, 0 done, 4 to do\n")
    assert "study small: test scores" in out
    assert out.count("    depth    ") == 4
    for count in range(1, 5):
        assert f"[{count}/4 runs" in errors
    assert len(study.finished()) == 4


def test_what_is_done_is_not_run_again(study: Study, capsys: Capture) -> None:
    assert study.run(study.planned("seed=0", methods=ONE))
    first = set(study.finished())
    assert study.run(study.planned("seed=0,1", methods=ONE))
    assert first < set(study.finished())
    assert len(study.finished()) == 4
    assert "4 runs, 2 done, 2 to do" in capsys.readouterr().out


def test_where_no_gpu_is_results_of_the_processor_count(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert study.run(study.planned("seed=0", methods=ONE))
    first = set(study.finished())
    assert study.run(study.planned("seed=0", "trainer=gpu", methods=ONE))
    assert set(study.finished()) == first


def test_other_code_is_told_and_run_again_on_demand(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned)
    for module in (plan, identity):
        monkeypatch.setattr(module, "code_hash", lambda _: "of tomorrow")
    assert study.run(planned)
    assert len(study.finished()) == 2
    assert "2 results are of other code than the present: reuse=same_code trains" in capsys.readouterr().out
    study.run(planned, reuse="same_code")
    assert len(study.finished()) == 4
    assert "2 results are of other code than the present: none counts" in capsys.readouterr().out


def test_a_study_ends_where_its_workers_have_other_code_than_its_plan(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned)
    monkeypatch.setattr(plan, "code_hash", lambda _: "of tomorrow")
    assert not study.run(planned, reuse="same_code")
    assert len(study.finished()) == 2


def test_a_run_that_fails_is_told_and_tried_again(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    broken = replace(planned[0], settings=replace(planned[0].settings, measures=["nothing"]))
    assert not study.run([broken, *planned[1:]])
    out, errors = capsys.readouterr()
    assert "1 runs failed: the same command tries them again" in out
    assert "failed, KeyError: 'nothing'" in errors
    assert len(study.finished()) == 1
    assert study.run(planned)
    assert len(study.finished()) == 2


def test_a_method_whose_runs_all_failed_is_recorded_as_failed(study: Study) -> None:
    (planned,) = study.planned("depth=2", "seed=0", methods=ONE)
    real = planned.settings.measures
    for measures, ended in ((["nothing"], ("FAILED", "failed")), (real, ("FINISHED", "finished"))):
        changed = replace(planned, settings=replace(planned.settings, measures=measures))
        assert study.run([changed]) is (measures is real)
        parent = study.parents()["GCN"]
        assert (parent.status, parent.tags["outcome"]) == ended


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


def test_the_second_study_of_a_name_is_refused(study: Study) -> None:
    planned = study.planned("depth=2", "seed=0", methods=ONE)
    (study.folder / "checkpoints").mkdir()
    with FileLock(study.folder / "checkpoints" / "study-small.lock"):
        with pytest.raises(
            UserError, match=r"^the study small is running already: wait for it, or give this one another"
        ):
            study.run(planned)
        assert study.records.runs() == []
        assert study.run(planned, name="another")


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


def test_an_interrupted_study_goes_on(study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = study.planned("depth=2", "seed=0,1,2", methods=ONE)
    calls: list[int] = []

    def interrupted(*args: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        evaluate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("depthlab.training.run.evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted, 1 of 3 runs are done: the same command continues$"):
        study.run(planned)
    assert not (study.folder / "results").exists()  # what it holds so far is no result
    (parent,) = study.records.runs("tags.kind = 'study'")
    assert (parent.status, parent.tags["outcome"], parent.metrics) == ("KILLED", "interrupted", {})
    before = set(study.finished())
    assert (checkpoint_folder(planned[1].settings) / LAST).is_file()

    assert study.run(planned)
    assert before < set(study.finished())
    assert {run.tags[PARENT] for run in study.finished().values()} == {parent.run_id}
    assert len(study.records.runs()) == 4

"""One study from start to end in this process: what it runs, closes, prints and refuses."""

import pytest
from filelock import FileLock

from src.errors import UserError
from src.study import plan
from src.study.run import run_study
from src.tracking.run import TrackedRun
from src.tracking.search import PARENT
from src.train.identity import LAST, LOCK, checkpoint_folder
from src.train.result import evaluate
from tests.study.conftest import Study, options

ONE = {"GCN": "model=gcn"}
Capture = pytest.CaptureFixture[str]


def test_a_study_runs_its_cells_and_says_what_came_of_them(study: Study, capsys: Capture) -> None:
    assert study.run(study.cells("seed=0"))
    out, errors = capsys.readouterr()
    assert out.startswith("study small: 4 cells, 0 done, 4 to do\n")
    assert "study small: test accuracy in %" in out
    assert out.count("    depth    ") == 4
    for count in range(1, 5):
        assert f"[{count}/4 cells" in errors
    assert len(study.finished()) == 4


def test_a_dry_study_only_lists(study: Study, capsys: Capture) -> None:
    assert study.run(study.cells(), dry=True)
    assert "8 to do" in capsys.readouterr().out
    assert study.records.runs() == []
    assert not (study.folder / "results").exists()
    assert not (study.folder / "checkpoints").exists()


def test_what_is_done_is_not_run_again(study: Study, capsys: Capture) -> None:
    assert study.run(study.cells("seed=0", lines=ONE))
    first = set(study.finished())
    assert study.run(study.cells("seed=0,1", lines=ONE))
    assert first < set(study.finished())
    assert len(study.finished()) == 4
    assert "4 cells, 2 done, 2 to do" in capsys.readouterr().out


def test_other_code_is_told_and_run_again_on_demand(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = study.cells("seed=0", lines=ONE)
    assert study.run(cells)
    monkeypatch.setattr(plan, "code_hash", lambda _: "of tomorrow")
    assert study.run(cells)
    assert len(study.finished()) == 2
    assert "2 cells were run with other code: reuse=same_code runs these again" in capsys.readouterr().out
    study.run(cells, reuse="same_code")
    assert len(study.finished()) == 4


def test_a_cell_that_fails_is_told_and_tried_again(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = study.cells("seed=0", lines=ONE)
    real = cells[0].settings["measures"]
    cells[0].settings["measures"] = ["nothing"]
    assert not study.run(cells)
    out, errors = capsys.readouterr()
    assert "1 cells failed: the same command tries them again" in out
    assert "failed, KeyError: 'nothing'" in errors
    assert len(study.finished()) == 1
    cells[0].settings["measures"] = real
    assert study.run(cells)
    assert len(study.finished()) == 2


def test_runs_that_a_killed_study_left_open_are_closed(study: Study) -> None:
    (cell, other) = study.cells("depth=2", lines=ONE)
    data = study.plan([cell]).data[cell.hash]

    def left(config_hash: str, **tags: str) -> str:
        known = {"config_hash": config_hash, "data_hash": data, "outcome": "running"}
        return TrackedRun(study.uri, "depthlab", "left", {}, known | tags).run_id

    killed = left(cell.hash, study="small")
    by_hand, elsewhere = left(cell.hash), left(other.hash, study="small")
    assert study.run([cell])
    status = {run.run_id: (run.status, run.tags["outcome"]) for run in study.records.runs()}
    assert status[killed] == ("KILLED", "interrupted")
    assert status[by_hand] == ("RUNNING", "running")  # somebody else's `python -m src.train`
    assert status[elsewhere] == ("RUNNING", "running")  # no cell of this study


def test_the_second_study_of_a_name_is_refused(study: Study) -> None:
    cells = study.cells("depth=2", "seed=0", lines=ONE)
    (study.folder / "checkpoints").mkdir()
    with FileLock(study.folder / "checkpoints" / "study-small.lock"):
        with pytest.raises(UserError, match=r"^the study small is running already: wait for it, or name this one"):
            study.run(cells)
        assert study.records.runs() == []
        assert study.run(cells, name="another")


def test_an_error_of_the_cluster_comes_before_anything_is_recorded(study: Study) -> None:
    with pytest.raises(UserError, match="needs the address of a scheduler"):
        run_study("small", study.cells("depth=2", "seed=0", lines=ONE), options(backend="dask"))
    assert study.records.runs() == []


def test_a_run_that_is_at_work_is_left_alone(study: Study) -> None:
    (cell,) = study.cells("depth=2", "seed=0", lines=ONE)
    folder = checkpoint_folder(cell.settings)
    folder.mkdir(parents=True)
    tags = {"config_hash": cell.hash, "data_hash": study.plan([cell]).data[cell.hash], "study": "another"}
    other = TrackedRun(study.uri, "depthlab", "left", {}, tags).run_id
    with FileLock(folder / LOCK):  # another study's process holds it
        assert not study.run([cell])
    assert study.records.client.get_run(other).info.status == "RUNNING"
    assert study.run([cell])
    assert study.records.client.get_run(other).info.status == "KILLED"


def test_an_interrupted_study_goes_on(study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = study.cells("depth=2", "seed=0,1,2", lines=ONE)
    calls: list[int] = []

    def interrupted(*args: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        evaluate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("src.train.run.evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run(cells)
    assert "interrupted, 1 of 3 cells are done: the same command goes on" in capsys.readouterr().err
    assert not (study.folder / "results").exists()  # what it holds so far is no result
    (parent,) = study.records.runs("tags.kind = 'study'")
    assert (parent.status, parent.tags["outcome"], parent.metrics) == ("KILLED", "interrupted", {})
    before = set(study.finished())
    assert (checkpoint_folder(cells[1].settings) / LAST).is_file()

    assert study.run(cells)
    assert before < set(study.finished())
    assert {run.tags[PARENT] for run in study.finished().values()} == {parent.run_id}
    assert len(study.records.runs()) == 4

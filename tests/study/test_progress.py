"""The progress of a study, on a terminal and without one."""

import io
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from depthlab.parallel import TaskResult
from depthlab.study import progress
from depthlab.study.progress import StudyProgress
from depthlab.study.work import Job
from tests.study.conftest import Study

Made = Callable[..., tuple[StudyProgress, list[tuple[Job, ...]], io.StringIO]]


@pytest.fixture
def made(study: Study) -> Made:
    def make(terminal: bool) -> tuple[StudyProgress, list[tuple[Job, ...]], io.StringIO]:
        jobs = [Job(run, {}) for run in study.planned("seed=0")]
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=100)
        costs = {job.run.hash: 100.0 for job in jobs}
        return StudyProgress("small", jobs, costs, 1, console), [(job,) for job in jobs], out

    return make


def test_a_line_for_each_run_with_the_time_left(made: Made) -> None:
    shown, tasks, out = made(terminal=False)
    first, second = (next(iter(shown.starting([task]))) for task in tasks[:2])
    shown.end(TaskResult(first, "finished", "test accuracy 50.0 %, healthy", 200.0))
    shown.end(TaskResult(second, "interrupted", "the same command continues it", 1.0))
    assert out.getvalue().splitlines() == [
        "[1/4 runs, about 10 min left] csbm-gcn-d2-s0-split0-nodes120-epochs3-hidden16 (GCN): finished,"
        " test accuracy 50.0 %, healthy (3 min)",
        "[1/4 runs, about 10 min left] csbm-gcn-d4-s0-split0-nodes120-epochs3-hidden16 (GCN): interrupted,"
        " the same command continues it (1 s)",
    ]


def test_a_line_every_minute_says_what_is_training(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("depthlab.running.time.monotonic", lambda: seconds[0])
    shown, tasks, out = made(terminal=False)
    shown.tick()
    assert out.getvalue() == ""  # nothing is running
    next(iter(shown.starting(tasks)))
    seconds[0] = 65.0
    shown.tick()
    assert out.getvalue() == (
        "[0/4 runs, about 7 min left] training csbm-gcn-d2-s0-split0-nodes120-epochs3-hidden16 (GCN) for 65 s\n"
    )


def test_lines_come_within_a_long_run(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.running.INTERVAL", 0.01)
    shown, tasks, out = made(terminal=False)
    with shown:
        next(iter(shown.starting(tasks)))
        for _ in range(500):
            if out.getvalue().count("\n") > 1:
                break
            time.sleep(0.01)
    assert out.getvalue().count("training csbm-gcn-d2") > 1


def test_the_table_counts_runs_by_method_and_depth(made: Made) -> None:
    shown, tasks, out = made(terminal=True)
    list(shown.starting(tasks[:2]))
    shown.end(TaskResult(tasks[0], "finished", "", 1.0))
    shown.console.print(shown.table())
    text = out.getvalue()
    for words in ("study small: 1/4 runs", "depth 2", "csbm GCNII", "1/1", "0/1", "training csbm-gcn-d4"):
        assert words in text


def test_a_long_table_shows_open_methods_and_counts_the_others(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ROWS", 1)
    shown, tasks, _ = made(terminal=True)
    for task in tasks[:2]:
        shown.end(TaskResult(task, "finished", "", 1.0))
    table = shown.table()
    assert [str(cell) for cell in table.columns[0].cells] == ["csbm GCNII"]
    assert table.caption == "1 more methods"

"""Tasks in this process, and in processes that are stopped or killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from depthlab.config.errors import UserError
from depthlab.parallel import Stop, Workers, execute, local
from depthlab.training import signals


def square(number: int, threads: int) -> tuple[str, str]:
    return "finished", f"{number**2} with {threads}"


def half(number: int, threads: int) -> tuple[str, str]:
    if number % 2:
        raise UserError("odd")
    return "finished", str(number // 2)


def kill_at_two(number: int, threads: int) -> tuple[str, str]:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return "finished", str(number)


def wait_a_moment(number: int, threads: int) -> tuple[str, str]:
    time.sleep(5)
    return "finished", ""


def wait_long(number: int, threads: int) -> tuple[str, str]:
    time.sleep(60)
    return "finished", ""


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_is_done(jobs: int) -> None:
    workers = local(jobs)
    done = {one.task: one for one in execute(range(7), square, workers, Stop(""))}
    assert {number: one.sentence for number, one in done.items()} == {
        number: f"{number**2} with {workers.threads}" for number in range(7)
    }
    assert {one.outcome for one in done.values()} == {"finished"}
    assert all(one.seconds >= 0 for one in done.values())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_fails_does_not_stop_the_others(jobs: int) -> None:
    ended = sorted((one.task, one.outcome, one.sentence) for one in execute(range(3), half, local(jobs), Stop("")))
    assert ended == [(0, "finished", "0"), (1, "failed", "odd"), (2, "finished", "1")]


@pytest.mark.slow
def test_the_task_that_kills_its_process_has_failed_and_no_other() -> None:
    done = {one.task: one for one in execute(range(6), kill_at_two, local(2), Stop(""))}
    assert {number for number, one in done.items() if one.outcome == "finished"} == {0, 1, 3, 4, 5}
    assert (done[2].outcome, done[2].sentence.partition(",")[0]) == ("failed", "its process was killed")


@pytest.mark.slow
def test_a_process_that_is_killed_between_two_tasks_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[Any] = []
    opened = Workers.open

    def remembered(workers: Workers) -> Any:
        pools.append(opened(workers))
        return pools[-1]

    monkeypatch.setattr(Workers, "open", remembered)

    def tasks() -> Iterator[int]:
        yield from range(2)
        for pool in pools:
            for process in list(pool._processes.values()):
                process.kill()
        end = time.monotonic() + 60
        while not all(pool._broken for pool in pools) and time.monotonic() < end:
            time.sleep(0.01)
        yield from range(2, 5)

    done = list(execute(tasks(), square, local(2), Stop("")))
    assert sorted((one.task, one.outcome) for one in done) == [(number, "finished") for number in range(5)]


@pytest.mark.slow
def test_the_process_that_workers_are_forked_from_may_be_killed() -> None:
    server: Any = forkserver._forkserver

    def tasks() -> Iterator[int]:
        yield from range(2)
        os.kill(server._forkserver_pid, signal.SIGKILL)
        yield from range(2, 5)

    done = list(execute(tasks(), square, local(2), Stop("")))
    assert sorted((one.task, one.outcome) for one in done) == [(number, "finished") for number in range(5)]


def kill_two_and_see(folder: Path, threads: int) -> tuple[str, str]:
    """The task `killed` is killed once, while the other runs."""
    mark = folder.parent / "mark"
    if folder.name == "killed" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while not mark.exists():
        time.sleep(0.01)
    time.sleep(0.5)
    with (folder.parent / f"{folder.name}.started").open("a") as file:
        file.write("once ")
    return "finished", ""


@pytest.mark.slow
def test_a_process_that_is_killed_takes_no_other_task_with_it(tmp_path: Path) -> None:
    done = list(execute([tmp_path / "other", tmp_path / "killed"], kill_two_and_see, local(2), Stop("")))
    assert [(one.task.name, one.outcome) for one in done] == [("other", "finished"), ("killed", "finished")]
    assert [file.read_text() for file in tmp_path.glob("*.started")] == ["once ", "once "]


PRELOADED = """
import sys
from pathlib import Path
sys.path.append(str(Path.cwd()))
from depthlab.parallel import Stop, execute, local, preload
from task import work
preload()
print([(done.outcome, done.sentence) for done in execute([1], work, local(2), Stop(""))])
"""


@pytest.mark.slow
@pytest.mark.parametrize("safe", [True, False])
def test_workers_find_what_the_command_finds(safe: bool, tmp_path: Path, environment: dict[str, str]) -> None:
    """A file of the user's that has the name of a library hides it from workers only if it does from the command."""
    (tmp_path / "mlflow.py").write_text("raise RuntimeError('not the library')\n")
    (tmp_path / "task.py").write_text(
        "import sys\ndef work(task, threads):\n    return 'finished', str('depthlab.training.run' in sys.modules)\n"
    )
    command = [sys.executable, *(["-P"] if safe else []), "-c", PRELOADED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"[('finished', '{safe}')]", done.stderr


def test_tasks_are_taken_when_a_worker_is_free() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(4):
            taken.append(number)
            yield number

    done = execute(tasks(), square, local(1), Stop(""))
    next(done)
    assert taken == [0]
    assert len(list(done)) == 3


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_after_a_stop_no_task_begins(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN", 0.0)
    before = signal.getsignal(number)
    with Stop("running tasks end") as stop:
        done = execute(range(3), square, local(1), stop)
        next(done)
        signal.raise_signal(number)
        assert stop.requested
        assert list(done) == []
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_stop_of_this_process_alone_interrupts_the_tasks_at_work(number: int, jobs: int) -> None:
    threading.Timer(0.3 if jobs == 1 else 3.0, os.kill, (os.getpid(), number)).start()
    with Stop("") as stop:
        done = list(execute(range(4), wait_long, local(jobs), stop))
    assert sorted((one.task, one.outcome) for one in done) == [(task, "interrupted") for task in range(jobs)]
    assert stop.requested

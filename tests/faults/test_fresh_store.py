"""A fresh database whose creation is killed, interrupted or runs out of disk: none is left, or a complete one."""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from depthlab.address import sqlite_address
from depthlab.config.errors import UserError
from depthlab.tracking.store import open_store

Tally = Callable[[str, bool], None]
KILLS = 10
PAUSED = "paused"


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Starts processes that have the libraries already, so that a kill falls into the creation."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "depthlab.tracking.store"]
    )
    return context


def _open(path: Path, connection: Connection, limit: int = 0, pause: int = 0) -> None:
    """Create the database and send how that ended, and how many calls of functions it took.

    Args:
        limit: bytes that a file may have; 0 for no limit.
        pause: number of the call at which the process says so and waits for a signal; 0 for none.
    """
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == pause:
            connection.send(PAUSED)
            signal.pause()

    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # the forkserver may be a study's, with it blocked
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.setprofile(count)
    try:
        open_store(sqlite_address(path), "mine")
        ending = "opened"
    except UserError as error:
        ending = f"error: {error}"
    except KeyboardInterrupt:
        ending = "interrupted"
    sys.setprofile(None)
    connection.send((ending, calls))


def _start(
    processes: multiprocessing.context.ForkServerContext, path: Path, limit: int = 0, pause: int = 0
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    here, there = multiprocessing.Pipe()
    process = processes.Process(target=_open, args=(path, there, limit, pause))
    process.start()
    there.close()
    return process, here


def _create(processes: multiprocessing.context.ForkServerContext, path: Path, limit: int = 0) -> tuple[str, int]:
    """How the creation ended, and how many calls it took."""
    process, connection = _start(processes, path, limit)
    ending, calls = connection.recv()
    process.join()
    return str(ending), int(calls)


def _works(processes: multiprocessing.context.ForkServerContext, path: Path) -> bool:
    ending, _ = _create(processes, path)
    return ending == "opened" and not list(path.parent.glob("*.part*"))


def test_killed_at_every_moment(
    processes: multiprocessing.context.ForkServerContext, tmp_path: Path, tally: Tally
) -> None:
    """The moments are counted in calls of functions, so they do not depend on the speed of the machine."""
    ending, calls = _create(processes, tmp_path / "complete.db")
    assert ending == "opened"
    for number in range(KILLS):
        path = tmp_path / str(number) / "mlflow.db"
        path.parent.mkdir()
        process, connection = _start(processes, path, pause=1 + calls * number // KILLS)
        assert connection.recv() == PAUSED
        os.kill(process.pid or 0, signal.SIGKILL if number % 2 else signal.SIGINT)
        process.join()
        tally("fresh store killed", _works(processes, path))


@pytest.mark.parametrize("kilobytes", [0.5, 20, 100, 300])
def test_full_disk(
    processes: multiprocessing.context.ForkServerContext, tmp_path: Path, tally: Tally, kilobytes: float
) -> None:
    path = tmp_path / "mlflow.db"
    ending, _ = _create(processes, path, limit=int(kilobytes * 1024))
    assert ending.startswith(f"error: cannot create the database {path}: ")
    assert not path.exists()
    tally("fresh store on a full disk", _works(processes, path))

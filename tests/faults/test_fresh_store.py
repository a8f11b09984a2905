"""A fresh database whose creation is killed, interrupted or runs out of disk: none is left, or a complete one."""

import contextlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from depthlab.address import sqlite_address
from depthlab.config.errors import UserError
from depthlab.tracking.store import open_store

Tally = Callable[[str, bool], None]
KILLS = 10


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Starts processes that have the libraries already, so that a kill falls into the creation."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "depthlab.tracking.store"]
    )
    return context


def _open(path: Path, limit: int, answer: Connection) -> None:
    """Say when it begins, then how it ends."""
    answer.send("begins")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        open_store(sqlite_address(path), "mine")
        answer.send("opened")
    except UserError as error:
        answer.send(f"error: {error}")
    except KeyboardInterrupt:
        answer.send("interrupted")


def _begin(
    processes: multiprocessing.context.ForkServerContext, path: Path, limit: int = 0
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    here, there = multiprocessing.Pipe()
    process = processes.Process(target=_open, args=(path, limit, there))
    process.start()
    there.close()
    assert here.recv() == "begins"
    return process, here


def _works(processes: multiprocessing.context.ForkServerContext, path: Path) -> bool:
    process, answer = _begin(processes, path)
    said = _last_word(answer)
    process.join()
    return said == "opened" and not list(path.parent.glob("*.part*"))


def _last_word(answer: Connection) -> str:
    """How it ended; empty if it was killed."""
    try:
        return str(answer.recv())
    except EOFError:
        return ""


def test_killed_at_every_moment(
    processes: multiprocessing.context.ForkServerContext, tmp_path: Path, tally: Tally
) -> None:
    process, answer = _begin(processes, tmp_path / "whole.db")
    began = time.monotonic()
    assert _last_word(answer) == "opened"
    whole, inside = time.monotonic() - began, 0
    for number in range(KILLS):
        path = tmp_path / str(number) / "mlflow.db"
        path.parent.mkdir()
        process, answer = _begin(processes, path)
        time.sleep(whole * number / KILLS)
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(process.pid or 0, signal.SIGKILL if number % 2 else signal.SIGINT)
        process.join()
        inside += _last_word(answer) != "opened"
        tally("fresh store killed", _works(processes, path))
    assert inside >= KILLS // 2, "most of the kills came after the creation"


@pytest.mark.parametrize("kilobytes", [0.5, 20, 100, 300])
def test_full_disk(
    processes: multiprocessing.context.ForkServerContext, tmp_path: Path, tally: Tally, kilobytes: float
) -> None:
    path = tmp_path / "mlflow.db"
    process, answer = _begin(processes, path, limit=int(kilobytes * 1024))
    said = _last_word(answer)
    process.join()
    assert said.startswith(f"error: cannot create the database {path}: ")
    assert not path.exists()
    tally("fresh store on a full disk", _works(processes, path))

"""Cells side by side, in processes of this machine or on a Dask cluster, through joblib."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

from src.cli import explain
from src.errors import UserError
from src.study.grid import Cell
from src.train.identity import LAST, checkpoint_folder, run_name

WATCH_SECONDS = 1.0
CTRL_C = {signal.SIGINT}


@dataclass(frozen=True)
class Job:
    """A cell and what its run is labelled with."""

    cell: Cell
    labels: dict[str, str]


@dataclass(frozen=True)
class Done:
    """How a cell ended.

    Attributes:
        outcome: `finished`, `diverged`, `failed` or `interrupted`.
        seconds: wall time.
        sentence: accuracy and verdict, or why it failed.
    """

    cell: Cell
    name: str
    outcome: str
    seconds: float
    sentence: str


class Stop:
    """Ctrl-C once: no new cell begins, those at work save a checkpoint and end. Twice: at once.

    The processes of this machine hear Ctrl-C themselves; a Dask cluster finishes the cells that it has begun.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Stop":
        self._before = signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _heard(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nstopping: cells at work save a checkpoint and end (Ctrl-C again ends at once)", file=sys.stderr)


def execute(jobs: Sequence[Job], workers: int, backend: str, scheduler: str | None, stop: Stop) -> Iterator[Done]:
    """Run the jobs, at most `workers` at a time, and yield each as it ends; begins none after a stop.

    Args:
        workers: processes with loky; with dask the cluster decides.
        backend: `loky` or `dask`.
        scheduler: address of the Dask scheduler.

    Raises:
        UserError: the scheduler does not answer, its workers have several threads, or a process was killed.
    """
    threads = max(1, (os.cpu_count() or 1) // workers) if backend == "loky" else 1

    def waiting() -> Iterator[Any]:
        for job in jobs:
            if stop.requested:
                return
            yield joblib.delayed(_work)(job, threads, os.getpid() if backend == "loky" else None)

    if backend == "dask":
        workers = _connect(scheduler)
    context: dict[str, Any] = {}
    if backend == "loky" and workers > 1:
        deaf = {"initializer": signal.pthread_sigmask, "initargs": (signal.SIG_BLOCK, CTRL_C)}
        context = {"inner_max_num_threads": threads, **deaf}  # Ctrl-C between two cells would break the pool
    with joblib.parallel_config(backend, n_jobs=workers, **context):
        results = joblib.Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)(waiting())
        try:
            for done in results:
                stop.requested = stop.requested or done.outcome == "interrupted"
                yield done
        except BrokenProcessPool as error:
            if stop.requested:  # Ctrl-C reached a process that had only begun to start
                return
            if not isinstance(error, TerminatedWorkerError):
                raise
            raise UserError(
                "a process was killed in the middle of a cell, for want of memory perhaps:"
                " start the same command again, with fewer jobs"
            ) from None


def _connect(scheduler: str | None) -> int:
    """Make the cluster at this address the one that joblib uses; returns how many workers it has."""
    if not scheduler:
        raise UserError("backend=dask needs the address of a scheduler: scheduler=tcp://HOST:8786")
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError("backend=dask needs dask: pip install 'dask[distributed]'") from None
    try:
        threads = Client(scheduler, timeout=10).nthreads()
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    if not threads:
        raise UserError(f"the Dask scheduler {scheduler} has no workers: start some, `dask worker {scheduler}`")
    if max(threads.values()) > 1:  # initialisation draws from the process's one generator
        raise UserError("a Dask worker must have one thread: start it with `dask worker --nthreads 1`")
    return len(threads)


def _work(job: Job, threads: int, parent: int | None) -> Done:
    """One cell from start to end; whatever goes wrong in it stays in it."""
    own = parent is not None and parent != os.getpid()
    if own:
        _end_with(parent)
    settings = job.cell.settings | {"progress": False}
    settings["trainer"] = settings["trainer"] | {"threads": threads}
    if job.cell.film:
        artifacts = [*settings["tracking"]["artifacts"], "states"]
        settings["tracking"] = settings["tracking"] | {"artifacts": artifacts}
    name, start = run_name(settings), time.perf_counter()
    ended = "failed", ""
    try:
        if own:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, CTRL_C)
        from src.train.run import run
        from src.train.summary import outcome_line

        try:
            result = run(settings | {"ckpt": _interrupted(settings)}, job.cell.origin, job.labels)
        except UserError:
            if not _interrupted(settings):
                raise
            result = run(settings, job.cell.origin, job.labels)  # the checkpoint was of other data or another store
        ended = result.outcome, outcome_line(result)
    except KeyboardInterrupt:
        ended = "interrupted", "goes on from its checkpoint when the study is started again"
        if own:
            time.sleep(WATCH_SECONDS)  # else the study may hand out another cell before it has heard Ctrl-C itself
    except Exception as error:
        ended = "failed", explain(error) or f"{type(error).__name__}: {error}"
    finally:
        if own:
            signal.pthread_sigmask(signal.SIG_BLOCK, CTRL_C)
    return Done(job.cell, name, ended[0], time.perf_counter() - start, ended[1])


def _interrupted(settings: dict[str, Any]) -> str | None:
    return "last" if Path(checkpoint_folder(settings) / LAST).is_file() else None


def _end_with(parent: int | None) -> None:
    """A process whose study was killed must not go on training: the next one would start the same cell."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if not any(thread.name == "watch" for thread in threading.enumerate()):
        threading.Thread(target=watch, name="watch", daemon=True).start()

"""Cells side by side, in processes of this machine or on a Dask cluster, through joblib."""

import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from src.cli import explain
from src.errors import ResumeError, UserError
from src.study.grid import Cell
from src.train.identity import LAST, checkpoint_folder, run_name

WATCH_SECONDS = 1.0
CTRL_C = {signal.SIGINT}
KILLED = "a process was killed, for want of memory perhaps; the same command tries again, with fewer jobs if you say so"


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


def execute(jobs: Sequence[Job], workers: int, backend: str, stop: Stop) -> Iterator[Done]:
    """Run the jobs, at most `workers` at a time, and yield each as it ends; begins none after a stop.

    A process that is killed, for want of memory perhaps, takes the pool with it: the cells at work then count as failed
    and a new pool goes on with the rest.

    Args:
        jobs: of which no two are the same experiment.
        workers: processes with loky, or as many as `connect` found with dask.
        backend: `loky` or `dask`.

    Raises:
        UserError: the Dask cluster is gone.
    """
    threads = max(1, joblib.cpu_count() // workers) if backend == "loky" else 1
    waiting, at_work = deque(jobs), dict[str, Job]()

    def taken() -> Iterator[Any]:
        while waiting and not stop.requested:
            job = waiting.popleft()
            at_work[job.cell.hash] = job
            yield joblib.delayed(_work)(job, threads, os.getpid() if backend == "loky" else None)

    context: dict[str, Any] = {}
    if backend == "loky" and workers > 1:
        deaf = {"initializer": signal.pthread_sigmask, "initargs": (signal.SIG_BLOCK, CTRL_C)}
        context = {"inner_max_num_threads": threads, **deaf}  # Ctrl-C between two cells would break the pool
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")  # it had grown and is replaced
    while waiting and not stop.requested:
        try:
            with joblib.parallel_config(backend, n_jobs=workers, **context):
                pool = joblib.Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
                for done in pool(taken()):
                    del at_work[done.cell.hash]
                    stop.requested = stop.requested or done.outcome == "interrupted"
                    yield done
        except BrokenProcessPool:
            if stop.requested:  # Ctrl-C reached a process that had only begun to start
                return
            for job in at_work.values():
                yield Done(job.cell, run_name(job.cell.settings), "failed", 0.0, KILLED)
            at_work.clear()
        except Exception as error:
            if type(error).__module__.startswith("distributed"):
                raise UserError(f"the Dask cluster failed ({error}): start the same command again") from None
            raise


def connect(scheduler: str | None, uri: str) -> int:
    """Make the Dask cluster at this address the one that joblib uses; returns how many workers it has.

    Raises:
        UserError: no scheduler answers, it has no workers, they have several threads, or cannot reach the store `uri`.
    """
    if not scheduler:
        raise UserError("backend=dask needs the address of a scheduler: scheduler=tcp://HOST:8786")
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError("backend=dask needs dask: pip install 'dask[distributed]'") from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    threads = client.nthreads()
    hosts = set(client.run(socket.gethostname).values())
    problem = ""
    if not threads:
        problem = f"the Dask scheduler {scheduler} has no workers: start some, `dask worker {scheduler}`"
    elif max(threads.values()) > 1:  # initialisation draws from the process's one generator
        problem = "a Dask worker must have one thread: start it with `dask worker --nthreads 1`"
    elif uri.startswith("sqlite") and hosts - {socket.gethostname()}:
        problem = f"Dask workers on other machines cannot reach {uri}: give a server, tracking.uri=http://HOST:5000"
    if problem:
        client.close()
        raise UserError(problem)
    return len(threads)


def _work(job: Job, threads: int, parent: int | None) -> Done:
    """One cell from start to end; whatever goes wrong in it stays in it."""
    own = parent is not None and parent != os.getpid()
    if own:
        _end_with(parent)
    settings = job.cell.settings | {"progress": False}
    settings["trainer"] = settings["trainer"] | {"threads": settings["trainer"]["threads"] or threads}
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

        start = time.perf_counter()
        try:
            result = run(settings | {"ckpt": _interrupted(settings)}, job.cell.origin, job.labels)
        except ResumeError:
            result = run(settings, job.cell.origin, job.labels)
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

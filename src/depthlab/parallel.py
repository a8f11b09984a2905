"""Tasks side by side, in processes of this machine or on a Dask cluster. Imports nothing heavy.

Processes hear Ctrl-C only while they are at a task, and end with the process that started them.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import joblib

from depthlab.cli import explain
from depthlab.config.errors import UserError
from depthlab.training.signals import SIGNALS, handling_signals, ignore_signals, interruptible, stop_handler

WATCH_SECONDS = 1.0
AT_DASK = "each worker that did it was killed, for want of memory perhaps; the same command tries again"
KILLED = "a process was killed, for want of memory perhaps; the same command tries again, with fewer jobs if you say so"
T = TypeVar("T")
Work = Callable[[Any, int], tuple[str, str]]


@dataclass(frozen=True)
class TaskResult(Generic[T]):
    """How a task ended.

    Attributes:
        outcome: what the work returned, or `failed` or `interrupted`.
        seconds: wall time.
        sentence: what the work returned beside it, or why it failed.
    """

    task: T
    outcome: str
    sentence: str
    seconds: float


@dataclass(frozen=True)
class Workers:
    """Who works.

    Attributes:
        count: tasks at the same time; one on this machine is this process itself.
        threads: that each may use.
        client: of the Dask cluster, else None.
    """

    count: int
    threads: int
    client: Any = None

    def open(self) -> Executor:
        """Who does one task at a time: a process of its own, so that one that is killed takes no other's task."""
        if self.client:
            return self.client.get_executor(pure=False)
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def stopping(self, here: str) -> str:
        """What a stop does to the tasks at work: `here` on this machine, nothing on a cluster."""
        return "the cluster finishes what it has begun" if self.client else here


class Stop:
    """Ctrl-C or SIGTERM: no new task begins, running tasks save what they can and end. A second signal kills them.

    Processes of this machine receive the signal; a Dask cluster finishes the tasks that it has begun.
    """

    def __init__(self, what: str) -> None:
        self.what, self.requested = what, False

    def __enter__(self) -> "Stop":
        self._hearing = handling_signals(stop_handler(self._heard, self._tell))
        self._hearing.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._hearing.__exit__(None, None, None)

    def _heard(self) -> None:
        self._tell()
        if not self.requested:
            self.requested = True
            print(f"\nstopping: {self.what} (Ctrl-C again ends at once)", file=sys.stderr)

    def _tell(self) -> None:
        """Pass SIGTERM on: a terminal sends Ctrl-C to every process, `kill` and batch systems signal only this one."""
        for process in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid or 0, signal.SIGTERM)


def execute(tasks: Iterable[T], work: Work, workers: Workers, stop: Stop) -> Iterator[TaskResult[T]]:
    """Do the tasks, as many at a time as there are workers, and yield each as it ends; begins none after a stop.

    A task whose process is killed is done again at the end, when no other is at work, for memory may have been short;
    killed once more, it has `failed`. On a cluster Dask does it again, as often as its `allowed-failures` says.

    Args:
        tasks: each is taken when a worker is free.
        work: of the process that does it: (task, threads) -> (outcome, sentence). A function of a module.

    Raises:
        UserError: the Dask cluster is gone.
    """
    waiting = iter(tasks)
    if workers.count == 1 and not workers.client:
        for task in waiting:
            yield _finish(task, _call(work, task, workers.threads, None), stop)
            if stop.requested:
                break
        return
    lost: list[T] = []
    yield from _side_by_side(waiting, work, workers, stop, lost)
    for task in lost:
        again: list[T] = []
        yield from _side_by_side(iter([task]), work, replace(workers, count=1), stop, again)
        if again:
            yield TaskResult(task, "failed", KILLED, 0.0)


def _side_by_side(
    waiting: Iterator[T], work: Work, workers: Workers, stop: Stop, lost: list[T]
) -> Iterator[TaskResult[T]]:
    """`execute`, but a task whose process is killed goes into `lost`."""
    pools = [workers.open() for _ in range(workers.count)]
    free, at_work = list(range(workers.count)), dict[Future[Any], tuple[T, int]]()
    parent = None if workers.client else os.getpid()

    def begin(task: T, slot: int) -> None:
        with _blocked():  # Ctrl-C would kill a process that has not begun yet
            at_work[pools[slot].submit(_call, work, task, workers.threads, parent)] = task, slot

    def renew(slot: int) -> None:
        pools[slot].shutdown()
        pools[slot] = workers.open()

    try:
        while True:
            while free and not stop.requested and (task := next(waiting, None)) is not None:
                slot = free.pop()
                try:
                    begin(task, slot)
                except BrokenProcessPool:  # killed between two tasks
                    renew(slot)
                    begin(task, slot)
            if not at_work:
                return
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                task, slot = at_work.pop(future)
                problem = _problem(future)
                if isinstance(problem, BrokenProcessPool):
                    renew(slot)
                    lost.append(task)
                elif problem is not None and not workers.client:
                    raise problem
                elif type(problem).__name__ == "KilledWorker":  # Dask has tried several
                    yield TaskResult(task, "failed", AT_DASK, 0.0)
                elif problem is not None:
                    why = str(problem) or "its scheduler is gone"
                    raise UserError(f"the Dask cluster failed ({why}): start the same command again") from None
                else:
                    yield _finish(task, future.result(), stop)
                free.append(slot)
    finally:
        for pool in set(pools):
            pool.shutdown(wait=not workers.client)


def _problem(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:  # a Dask future whose scheduler is gone
        return error


def _finish(task: T, ended: tuple[str, str, float], stop: Stop) -> TaskResult[T]:
    stop.requested = stop.requested or ended[0] == "interrupted"
    return TaskResult(task, *ended)


def _call(work: Work, task: Any, threads: int, parent: int | None) -> tuple[str, str, float]:
    """One task from start to end; whatever goes wrong in it stays in it."""
    start = time.perf_counter()
    try:
        if parent is not None:
            end_with(parent)
            ignore_signals()
        with interruptible():
            if parent is not None:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            ended = work(task, threads)
    except KeyboardInterrupt:
        ended = "interrupted", "the same command goes on with it"
        if parent is not None:
            time.sleep(WATCH_SECONDS)  # else another task may be handed out before Ctrl-C is heard there too
    except Exception as error:
        ended = "failed", explain(error) or f"{type(error).__name__}: {error}"
    return *ended, time.perf_counter() - start


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Threads and processes that are started inside do not hear Ctrl-C; this one hears it at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """Ends this process when its parent is gone: the same command, started again, would do its task too."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if not any(thread.name == "watch" for thread in threading.enumerate()):
        threading.Thread(target=watch, name="watch", daemon=True).start()


def local(jobs: int | None) -> Workers:
    """Processes of this machine, as many as cores if not said; the cores are shared out among them."""
    cores = int(joblib.cpu_count())
    count = jobs or cores
    return Workers(count, max(1, cores // count))

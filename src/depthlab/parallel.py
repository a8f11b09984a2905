"""Parallel tasks, in processes of this machine or on a Dask cluster. Imports nothing heavy.

A process handles Ctrl-C only while it runs a task, and ends with the process that started it. The processes of this
machine are forked from one that has imported what all of them need.
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
from multiprocessing import forkserver
from typing import Any, Generic, TypeVar

from depthlab.cli import explain
from depthlab.config.errors import UserError
from depthlab.training.signals import SIGNALS, handling_signals, ignore_signals, interruptible, stop_handler

WATCH_SECONDS = 1.0
KILLED_AT_DASK = "every worker that ran it was killed, perhaps for lack of memory; the same command tries again"
KILLED = "its process was killed, perhaps for lack of memory; the same command tries again: use fewer jobs"
T = TypeVar("T")
Work = Callable[[Any, int], tuple[str, str]]


@dataclass(frozen=True)
class TaskResult(Generic[T]):
    """How a task ended.

    Attributes:
        outcome: first value of the work function, or `failed` or `interrupted`.
        sentence: its second value, or why it failed.
        seconds: wall time.
    """

    task: T
    outcome: str
    sentence: str
    seconds: float


@dataclass(frozen=True)
class Workers:
    """Where tasks run.

    Attributes:
        count: number of tasks at the same time; a single one on this machine runs in this process.
        threads: that each may use.
        client: of the Dask cluster; None for processes of this machine.
    """

    count: int
    threads: int
    client: Any = None

    def open(self) -> Executor:
        """An executor for one task at a time; on this machine one process, so that a kill loses only one task."""
        if self.client:
            return self.client.get_executor(pure=False)
        context = multiprocessing.get_context("forkserver")
        return ProcessPoolExecutor(1, context, initializer=_take_environment, initargs=(dict(os.environ),))

    def stopping(self, here: str) -> str:
        """What happens to running tasks after a stop: `here` on this machine; a cluster finishes them."""
        return "the cluster finishes running tasks" if self.client else here


class Stop:
    """Context that handles Ctrl-C and SIGTERM: no new task starts, and running tasks save what they can and end.

    A second signal ends the command at once. A Dask cluster finishes its running tasks.

    Args:
        what: what happens to running tasks, for the message.

    Attributes:
        requested: whether a signal was received.
    """

    def __init__(self, what: str) -> None:
        self.what, self.requested = what, False

    def __enter__(self) -> "Stop":
        self._handling = handling_signals(stop_handler(self._request, self._forward))
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)

    def _request(self) -> None:
        self._forward()
        if not self.requested:
            self.requested = True
            print(f"\nstopping: {self.what} (Ctrl-C again ends at once)", file=sys.stderr)

    def _forward(self) -> None:
        """Send SIGTERM to all processes: a terminal signals all of them, `kill` and batch systems only this one."""
        for process in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid or 0, signal.SIGTERM)


def execute(tasks: Iterable[T], work: Work, workers: Workers, stop: Stop) -> Iterator[TaskResult[T]]:
    """Run tasks, as many at a time as there are workers, and yield each result; starts none after a stop.

    A task whose process is killed runs again at the end and alone, since memory may have been short; killed once more,
    it has `failed`. On a cluster, Dask runs it again, as often as its `allowed-failures` says.

    Args:
        tasks: the next is taken when a worker is free.
        work: (task, threads) -> (outcome, sentence); a function of a module, so that it can be pickled.

    Raises:
        UserError: the connection to the Dask cluster is lost.
    """
    waiting = iter(tasks)
    if workers.count == 1 and not workers.client:
        for task in waiting:
            yield _finish(task, _run_task(work, task, workers.threads, child=False), stop)
            if stop.requested:
                break
        return
    lost: list[T] = []
    yield from _run_parallel(waiting, work, workers, stop, lost)
    for task in lost:
        again: list[T] = []
        yield from _run_parallel(iter([task]), work, replace(workers, count=1), stop, again)
        if again:
            yield TaskResult(task, "failed", KILLED, 0.0)


def _run_parallel(
    waiting: Iterator[T], work: Work, workers: Workers, stop: Stop, lost: list[T]
) -> Iterator[TaskResult[T]]:
    """`execute`, but a task whose process is killed is appended to `lost`."""
    pools = [workers.open() for _ in range(workers.count)]
    free, running = list(range(workers.count)), dict[Future[Any], tuple[T, int]]()
    child = not workers.client

    def start(task: T, slot: int) -> None:
        with _blocked_signals():  # Ctrl-C would kill a process that does not handle it yet
            running[pools[slot].submit(_run_task, work, task, workers.threads, child)] = task, slot

    def renew(slot: int) -> None:
        pools[slot].shutdown()
        pools[slot] = workers.open()

    try:
        while True:
            while free and not stop.requested and (task := next(waiting, None)) is not None:
                slot = free.pop()
                for more_tries in (2, 1, 0):
                    try:
                        start(task, slot)
                        break
                    except (BrokenProcessPool, EOFError, ConnectionError) as error:  # it was killed between two tasks
                        if not more_tries:
                            raise
                        if not isinstance(error, BrokenProcessPool):  # the process that it is forked from was killed
                            time.sleep(WATCH_SECONDS)  # until its end is known, so that another is started
                        renew(slot)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, slot = running.pop(future)
                problem = _problem(future)
                if isinstance(problem, BrokenProcessPool):
                    renew(slot)
                    lost.append(task)
                elif problem is not None and not workers.client:
                    raise problem
                elif type(problem).__name__ == "KilledWorker":  # several workers were killed
                    yield TaskResult(task, "failed", KILLED_AT_DASK, 0.0)
                elif problem is not None:
                    reason = str(problem) or "its scheduler is lost"
                    raise UserError(f"the Dask cluster failed ({reason}): start the same command again") from None
                else:
                    yield _finish(task, future.result(), stop)
                free.append(slot)
    finally:
        for pool in set(pools):
            pool.shutdown(wait=not workers.client)


def preload() -> None:
    """Start to import what workers need, in the process that they will be forked from, while this one goes on."""
    multiprocessing.set_forkserver_preload(["depthlab.preload"])
    before = dict(os.environ)
    # it finds what this process finds: otherwise a file of the working directory would hide a library of that name
    os.environ |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        with _blocked_signals():  # its children inherit them blocked
            forkserver.ensure_running()
    finally:
        _take_environment(before)


def _take_environment(environment: dict[str, str]) -> None:
    """Set the environment of the command, which may have changed since the first worker was started."""
    os.environ.clear()
    os.environ.update(environment)


def _problem(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:  # of a Dask future whose scheduler is lost
        return error


def _finish(task: T, ended: tuple[str, str, float], stop: Stop) -> TaskResult[T]:
    stop.requested = stop.requested or ended[0] == "interrupted"
    return TaskResult(task, *ended)


def _run_task(work: Work, task: Any, threads: int, child: bool) -> tuple[str, str, float]:
    """Run a task; an exception becomes its outcome and sentence.

    Args:
        child: whether this process was started by the command for its tasks.
    """
    start = time.perf_counter()
    try:
        if child:
            _end_with_parent()
            ignore_signals()
        with interruptible():
            if child:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            ended = work(task, threads)
    except KeyboardInterrupt:
        ended = "interrupted", "the same command continues it"
        if child:
            time.sleep(WATCH_SECONDS)  # otherwise the command might send another task before it handles Ctrl-C itself
    except Exception as error:
        ended = "failed", explain(error) or f"{type(error).__name__}: {error}"
    return *ended, time.perf_counter() - start


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Context in which new threads and processes inherit blocked signals; this process receives them at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when its parent has ended: the same command, started again, would run its task too."""
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(1)

    if not any(thread.name == "watch" for thread in threading.enumerate()):
        threading.Thread(target=watch, name="watch", daemon=True).start()


def local(jobs: int | None) -> Workers:
    """Processes of this machine, by default one for each core; the cores are shared among them."""
    import joblib

    cores = int(joblib.cpu_count())
    count = jobs or cores
    return Workers(count, max(1, cores // count))

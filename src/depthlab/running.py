"""The tasks of a command that are running, and a line about them every minute. Imports nothing heavy."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

INTERVAL = 60.0  # seconds between two lines
T = TypeVar("T")


class Running(Generic[T]):
    """Notes which tasks are running and since when; inside its context it calls `tell` every minute.

    Args:
        tell: prints what is running; called by a thread.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell
        self._since: list[tuple[T, float]] = []  # replaced, never changed, since the thread reads it
        self._stop = threading.Event()

    def __enter__(self) -> "Running[T]":
        threading.Thread(target=self._tick, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def starting(self, tasks: Iterable[T]) -> Iterator[T]:
        """The tasks, each noted as running when it is taken."""
        for task in tasks:
            self._since = [*self._since, (task, time.monotonic())]
            yield task

    def end(self, task: T) -> None:
        """Note that a task has ended."""
        self._since = [pair for pair in self._since if pair[0] is not task]

    def seconds(self) -> list[tuple[T, float]]:
        """Each running task, and for how long it has been running."""
        now = time.monotonic()
        return [(task, now - since) for task, since in self._since]

    def _tick(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.tell()

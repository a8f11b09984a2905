"""A queue of records for the store: a thread sends them in order, so that training never waits for a server.

MLflow's asynchronous logging (`synchronous=False`) is no replacement: ten threads send metrics in any order, a batch
that the store refuses is lost, and the error appears only when its future is waited for.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any, NamedTuple, cast

from depthlab.config.errors import UserError
from depthlab.database import first_line

BATCH = 1000  # metrics in one request: MLflow's own limit
FLUSH_SECONDS = 5.0  # seconds for which metrics are collected
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two tries; each wait is twice the last
PAUSE_AT_END = 1.0  # longest pause while `drain` waits
PERMANENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")  # not worth a retry


class Point(NamedTuple):
    """One value of a metric, as `mlflow.entities.Metric`, which takes seconds to import."""

    key: str
    value: float
    timestamp: int
    step: int


class Outbox:
    """Records that a thread sends in the order in which they were put.

    Args:
        send: sends up to `BATCH` metrics.
        hide: removes secrets from an error message of the store.
        name: of the store, for the notice that is printed once when it does not answer.
        hold: seconds for which everything waits for the first metric.
    """

    def __init__(
        self, send: Callable[[list[Point]], None], hide: Callable[[str], str], name: str, hold: float = 0.0
    ) -> None:
        self._send, self._hide, self._name = send, hide, name
        self._held_until = time.monotonic() + hold
        self._queue: deque[Point | Callable[[], Any]] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._urgent = self._awaited = self._reported = self._closed = False
        self._pause, self._failures = FIRST_PAUSE, 0
        self._error: Exception | None = None

    def put(self, *items: Point | Callable[[], Any]) -> None:
        """Queue metrics, which are sent in batches, and functions that send something else at once."""
        with self._change:
            has_metric = any(isinstance(item, Point) for item in items)
            urgent = any(not isinstance(item, Point) for item in items)
            # else the thread knows already when to send: waking it at every epoch would make training wait for it
            changes_plan = not self._queue or urgent or (has_metric and self._held_until > 0)
            self._queue.extend(items)
            if has_metric:
                self._held_until = 0.0
            self._urgent = self._urgent or urgent
            self._closed = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
                self._thread.start()
            if changes_plan:
                self._change.notify_all()

    def drain(self, seconds: float, patient: bool = True, until: Callable[[], bool] = lambda: False) -> None:
        """Wait until everything is sent.

        Args:
            seconds: limit of the wait if the store refuses or does not answer.
            patient: wait longer as long as nothing has failed, since a large file takes time.
            until: ends the wait earlier.

        Raises:
            Exception: the error of the last of the tries, at least one; unsent records stay in the queue.
        """
        end = time.monotonic() + seconds
        with self._change:
            before, self._awaited, self._held_until = self._failures, True, 0.0
            self._change.notify_all()
            try:
                while self._queue and not until():
                    late = time.monotonic() > end
                    refused = isinstance(self._error, UserError)
                    final = late or refused or getattr(self._error, "error_code", "") in PERMANENT
                    if self._error and self._failures > before and final:
                        raise self._error
                    if late and not patient:
                        raise TimeoutError(f"no answer within {seconds:g} s")
                    self._change.wait(PAUSE_AT_END / 4)
            finally:
                self._awaited = False

    def close(self) -> None:
        """End the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _work(self) -> None:
        while self._sleep():
            self._send_all()

    def _sleep(self) -> bool:
        """Wait until there is something to send; False once it is closed."""
        start = time.monotonic()
        with self._change:
            while not self._closed:
                limit = self._pause if self._error else 0.0 if self._urgent else FLUSH_SECONDS
                limit = max(limit, self._held_until - start)
                if self._awaited:
                    limit = min(limit, PAUSE_AT_END if self._error else 0.0)
                left = start + limit - time.monotonic()
                if left <= 0 and self._queue:
                    return True
                self._change.wait(left if self._queue else None)
            self._thread = None
            return False

    def _send_all(self) -> None:
        while True:
            with self._change:
                points = takewhile(lambda item: isinstance(item, Point), self._queue)
                metrics = cast(list[Point], list(islice(points, BATCH)))
                first = self._queue[0] if self._queue else None
                if first is None or self._closed:
                    self._urgent = False
                    return
            try:
                if metrics:
                    self._send(metrics)
                elif not isinstance(first, Point):
                    first()
            except Exception as error:  # an invalid answer of a server raises any error of its parser
                self._on_error(error)
                return
            with self._change:
                for _ in range(max(1, len(metrics))):
                    self._queue.popleft()
                self._error = None
                self._change.notify_all()

    def _on_error(self, error: Exception) -> None:
        with self._change:
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._error else FIRST_PAUSE
            self._error, self._failures = error, self._failures + 1
            report = not (self._reported or self._awaited or isinstance(error, UserError))
            self._reported = self._reported or report
            self._change.notify_all()
        if report:
            print(
                f"the tracking store {self._name} does not answer ({self._hide(first_line(error))}): the run continues"
                " and sends its records later",
                file=sys.stderr,
            )

"""A queue of records for the store: a thread sends them in order, so that training never waits for a server."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any

from mlflow.entities import Metric

from depthlab.database import first_line

BATCH = 1000  # metrics in one request: MLflow's own limit
FLUSH_SECONDS = 5.0  # seconds for which metrics are collected
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two tries; each wait is twice the last
PAUSE_AT_END = 1.0  # the longest, while `drain` waits
FOREVER = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")  # refused again at every try


class Outbox:
    """Metrics and other things to be sent, in the order in which they were put.

    Args:
        send: sends some metrics, `BATCH` at most.
        explain: what an error of the store says, without secrets.
        name: of the store, for the one sentence that is printed when it does not answer.
    """

    def __init__(self, send: Callable[[list[Metric]], None], explain: Callable[[str], str], name: str) -> None:
        self._send, self._explain, self._name = send, explain, name
        self._waiting: deque[Metric | Callable[[], Any]] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._hurry = self._awaited = self._told = self._closed = False
        self._pause, self._failures = FIRST_PAUSE, 0
        self._error: Exception | None = None

    def put(self, *items: Metric | Callable[[], Any]) -> None:
        """Send these: metrics with the next batch; functions, which send something themselves, at once."""
        with self._change:
            self._waiting.extend(items)
            self._hurry = self._hurry or any(not isinstance(item, Metric) for item in items)
            self._closed = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def drain(self, seconds: float, patient: bool = True) -> None:
        """Wait until everything is sent, or at least one more try has failed.

        Args:
            seconds: after which it gives up if the store refuses or does not answer.
            patient: wait longer as long as nothing has failed: a large file takes its time.

        Raises:
            Exception: the store's last error; unsent records stay in the queue.
        """
        end = time.monotonic() + seconds
        with self._change:
            before, self._awaited = self._failures, True
            self._change.notify_all()
            try:
                while self._waiting:
                    late = time.monotonic() > end
                    final = late or getattr(self._error, "error_code", "") in FOREVER
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
                limit = self._pause if self._error else 0.0 if self._hurry else FLUSH_SECONDS
                if self._awaited:
                    limit = min(limit, PAUSE_AT_END if self._error else 0.0)
                left = start + limit - time.monotonic()
                if left <= 0 and self._waiting:
                    return True
                self._change.wait(left if self._waiting else None)
            self._thread = None
            return False

    def _send_all(self) -> None:
        while True:
            with self._change:
                metrics = list(islice(takewhile(lambda item: isinstance(item, Metric), self._waiting), BATCH))
                first = self._waiting[0] if self._waiting else None
                if first is None or self._closed:
                    self._hurry = False
                    return
            try:
                if metrics:
                    self._send(metrics)
                else:
                    first()
            except Exception as error:  # an invalid answer of a server raises any error of its parser
                self._failed(error)
                return
            with self._change:
                for _ in range(max(1, len(metrics))):
                    self._waiting.popleft()
                self._error = None
                self._change.notify_all()

    def _failed(self, error: Exception) -> None:
        with self._change:
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._error else FIRST_PAUSE
            self._error, self._failures = error, self._failures + 1
            say = not (self._told or self._awaited)
            self._told = self._told or say
            self._change.notify_all()
        if say:
            print(
                f"the tracking store {self._name} does not answer ({self._explain(first_line(error))}): the run goes on"
                " and sends its records later",
                file=sys.stderr,
            )

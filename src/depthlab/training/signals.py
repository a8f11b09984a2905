"""Ctrl-C and SIGTERM: a command stops cleanly with a message and can be started again."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 1.0  # seconds; an earlier second signal is the same request, since `timeout` sends it twice
INTERRUPTED = "interrupted: start the same command again"
STOPPED = 130  # exit code after either signal
Handler = Callable[[int, Any], None]


def stop_handler(request: Callable[[], None], before_exit: Callable[[], None] = lambda: None) -> Handler:
    """A handler that calls `request`; a second signal, more than `AGAIN` seconds later, raises KeyboardInterrupt.

    Args:
        request: asks the program to stop.
        before_exit: is called before the KeyboardInterrupt.
    """
    first: list[float] = []

    def handler(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if first[-1] - first[0] > AGAIN:
            before_exit()
            raise KeyboardInterrupt
        request()

    return handler


@contextmanager
def handling_signals(handler: Handler) -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM call the handler. Only the main thread receives them.

    An ignored SIGINT stays ignored, as in a command that a script runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Context that Ctrl-C and SIGTERM do not interrupt: a signal takes effect at its end."""
    received: list[int] = []
    try:
        with handling_signals(lambda number, _: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def interruptible() -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM raise KeyboardInterrupt, even if a library turns it into another error.

    Extension modules such as Matplotlib's raise ImportError if they are interrupted during their import.
    """
    first: list[float] = []

    def handler(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if len(first) == 1 or first[-1] - first[0] > AGAIN:
            raise KeyboardInterrupt

    try:
        with handling_signals(handler):
            yield
    except Exception as error:
        if first:
            raise KeyboardInterrupt from error
        raise


def ignore_signals() -> None:
    """Make Ctrl-C and SIGTERM do nothing; unlike SIG_IGN, `handling_signals` replaces this handler."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def exit_on_signal() -> None:
    """Make Ctrl-C and SIGTERM end this process with a message; used while a command imports its libraries."""

    def handler(number: int, frame: Any) -> None:
        with contextlib.suppress(Exception):
            if os.environ.get("RANK", "0") == "0":  # of the ranks of torchrun only rank 0 prints
                print(f"\n{INTERRUPTED}", file=sys.stderr, flush=True)
            sys.stdout.flush()
        os._exit(STOPPED)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def restore_sigterm(handler: Handler) -> None:
    """Install the handler of SIGTERM again: Lightning replaces it when a fit begins, and then writes no checkpoint."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def interruption_message(checkpoint: Path, epochs: int | None = None) -> str:
    """The message after Ctrl-C: how many epochs were trained, if known, and how to resume."""
    when = "interrupted" if epochs is None else f"interrupted after {count_epochs(epochs)}"
    if checkpoint.is_file():
        return f"{when}: go on with the same command and ckpt=last"
    return f"{when}, before a checkpoint was written: the same command begins anew"


def count_epochs(epochs: int) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{epochs} epoch{'s' * (epochs != 1)}"

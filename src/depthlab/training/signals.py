"""Ctrl-C and SIGTERM: a command stops cleanly, says so in one sentence and can be started again."""

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
AGAIN = 1.0  # seconds: what comes sooner is the same request, `timeout` sends its signal twice
INTERRUPTED = "interrupted: start the same command again"
STOPPED = 130  # exit code after either signal
Handler = Callable[[int, Any], None]


def once(request: Callable[[], None], at_once: Callable[[], None] = lambda: None) -> Handler:
    """A handler that calls `request`; another signal, a second or more later, ends the process at once.

    Args:
        at_once: called before the process ends at once.
    """
    first: list[float] = []

    def handler(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if first[-1] - first[0] > AGAIN:
            at_once()
            raise KeyboardInterrupt
        request()

    return handler


@contextmanager
def hearing(handler: Handler) -> Iterator[None]:
    """Inside this context Ctrl-C and SIGTERM call the handler. Only the main thread receives them.

    An ignored SIGINT stays ignored, as in a command that a script runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


@contextmanager
def holding() -> Iterator[None]:
    """What happens inside is done whole: a signal meanwhile is heard at the end."""
    heard: list[int] = []
    try:
        with hearing(lambda number, _: heard.append(number)):
            yield
    finally:
        if heard:
            signal.raise_signal(heard[0])


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside this context Ctrl-C and SIGTERM raise KeyboardInterrupt, even if a library turns it into another error.

    Extension modules such as Matplotlib's raise ImportError if they are interrupted during their import.
    """
    first: list[float] = []

    def handler(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if len(first) == 1 or first[-1] - first[0] > AGAIN:
            raise KeyboardInterrupt

    try:
        with hearing(handler):
            yield
    except Exception as error:
        if first:
            raise KeyboardInterrupt from error
        raise


def deaf() -> None:
    """From now on Ctrl-C and SIGTERM do nothing; unlike an ignored SIGINT, `hearing` replaces this handler."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def end_at_once() -> None:
    """From now on Ctrl-C and SIGTERM end this process with one sentence: for the imports before a command begins."""

    def handler(number: int, frame: Any) -> None:
        with contextlib.suppress(Exception):
            if os.environ.get("RANK", "0") == "0":  # of those that torchrun started one says it
                print(f"\n{INTERRUPTED}", file=sys.stderr, flush=True)
            sys.stdout.flush()
        os._exit(STOPPED)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def heed_sigterm(handler: Handler) -> None:
    """Install the handler of SIGTERM again: Lightning replaces it when a fit begins, and then writes no checkpoint."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def interruption(checkpoint: Path, epochs: int | None = None) -> str:
    """What to say after Ctrl-C: how far the run came, if that is known, and how to go on."""
    when = "interrupted" if epochs is None else f"interrupted after {in_words(epochs)}"
    if checkpoint.is_file():
        return f"{when}: go on with the same command and ckpt=last"
    return f"{when}, before a checkpoint was written: the same command begins anew"


def in_words(epochs: int) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{epochs} epoch{'s' * (epochs != 1)}"

"""Ctrl-C and SIGTERM: what is at work ends where it can be gone on with."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 1.0  # seconds: what comes sooner is the same request, `timeout` sends its signal twice


def once(request: Callable[[], None]) -> Callable[[int, Any], None]:
    """A handler that passes a request on; one more, a second later or after that, ends at once."""
    first: list[float] = []

    def handler(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if first[-1] - first[0] > AGAIN:
            raise KeyboardInterrupt
        request()

    return handler


@contextmanager
def hearing(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM call the handler. Only the main thread hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


@contextmanager
def holding() -> Iterator[None]:
    """What happens inside is done whole: a signal meanwhile is heard at the end."""
    heard: list[int] = []
    with hearing(lambda number, _: heard.append(number)):
        yield
    if heard:
        signal.raise_signal(heard[0])


def treat_alike() -> None:
    """Let SIGTERM do what Ctrl-C does from now on: what Lightning does at it leaves no checkpoint."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


def interruption(checkpoint: Path, epochs: int | None = None) -> str:
    """What to say after Ctrl-C: how far the run came, if that is known, and how to go on."""
    when = "interrupted" if epochs is None else f"interrupted after {in_words(epochs)}"
    if checkpoint.is_file():
        return f"{when}: go on with the same command and ckpt=last"
    return f"{when}, before a checkpoint was written: the same command begins anew"


def in_words(epochs: int) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{epochs} epoch{'s' * (epochs != 1)}"

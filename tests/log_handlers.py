"""Restores the root logger after a command: Hydra adds a handler that writes to the stream open at that moment."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def restored_log_handlers() -> Iterator[None]:
    """Puts back the root logger's handlers and level: the stream of a new handler is closed when its test ends."""
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)

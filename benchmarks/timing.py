"""Timing side by side: a machine's speed drifts, so what is compared alternates."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

SETTLING = 0.1  # seconds


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, float]:
    """Median seconds of each function, called in turn `rounds` times after `warm_up` rounds that do not count."""
    seconds = _turns({name: partial(_seconds, call) for name, call in sides.items()}, warm_up + rounds)
    return {name: statistics.median(values[warm_up:]) for name, values in seconds.items()}


def alternate_processes(makers: Mapping[str, Callable[[], Callable[[], object]]], rounds: int) -> dict[str, float]:
    """Least seconds of the functions that `makers` make, each in a process of its own with a heap of its own, in turns.

    The first tenth of a second of a turn does not count: it finds the processor as another process has left it, and the
    first call was seen to take twice as long. The least, since a shared machine has minutes in which everything does.

    Makers are pickled, so they are functions of a module, or `partial`s of such.
    """
    context = get_context("spawn")
    with ExitStack() as stack:
        ends = {}
        for name, make in makers.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(make, theirs), daemon=True)
            process.start()
            theirs.close()
            ends[name] = ours
            stack.callback(process.join)
            stack.callback(ours.close)  # a closed pipe ends the process
        seconds = _turns({name: partial(_ask, end) for name, end in ends.items()}, rounds)
    return {name: min(values) for name, values in seconds.items()}


def _turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, timed in sides.items():
            seconds[name].append(timed())
    return seconds


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _ask(end: Connection) -> float:
    end.send(None)
    return float(end.recv())


def _serve(make: Callable[[], Callable[[], object]], end: Connection) -> None:
    """Call what `make` makes, and send back its seconds, until the other end is closed."""
    call = make()
    try:
        while True:
            end.recv()
            start = time.perf_counter()
            call()
            while time.perf_counter() - start < SETTLING:
                call()
            end.send(_seconds(call))
    except (EOFError, OSError):  # the other end is gone
        return

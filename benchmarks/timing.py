"""Timing side by side: a machine's speed drifts, so what is compared alternates."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

SETTLING = 0.1  # seconds
FEWEST = 6  # rounds before the halves are compared
AGREEMENT = 1.1  # ratio of the least times of both halves


class UnavailableError(Exception):
    """A side that cannot run here, and why."""


@dataclass(frozen=True)
class Timing:
    """What the rounds of one side took.

    Attributes:
        seconds: the least of all rounds; infinite for a side that cannot run.
        spread: ratio, at least 1, of the least of the first half of the rounds and the least of the second half.
        rounds: their number.
        unavailable: why the side cannot run; empty if it can.
    """

    seconds: float
    spread: float = 1.0
    rounds: int = 0
    unavailable: str = ""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Timing":
        """The timing of two rounds or more."""
        half = len(seconds) // 2
        first, second = min(seconds[:half]), min(seconds[half:])
        return cls(min(first, second), max(first, second) / min(first, second), len(seconds))

    @property
    def agrees(self) -> bool:
        """Whether both halves of the rounds have the same least time, within 10 %."""
        return self.spread <= AGREEMENT


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, float]:
    """Median seconds of each function, called in turn `rounds` times after `warm_up` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(warm_up + rounds):
        for name, call in sides.items():
            seconds[name].append(_seconds(call))
    return {name: statistics.median(values[warm_up:]) for name, values in seconds.items()}


def alternate_processes(makers: Mapping[str, Callable[[], Callable[[], object]]], most: int) -> dict[str, Timing]:
    """Least seconds of the functions that `makers` make, each in a process of its own with a heap of its own, in turns.

    All are made before the first round. There are as many rounds as it takes until, on every side, the least of the
    first half agrees with the least of the second, but no more than `most` (two at least). The least, since a shared
    machine has minutes in which everything takes longer.

    The first tenth of a second of a turn does not count: it finds the processor as another process has left it, and the
    first call was seen to take twice as long.

    Makers are pickled, so they are functions of a module, or `partial`s of such. A side whose maker raises
    `UnavailableError` is left out.
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
        reasons = {name: str(end.recv()) for name, end in ends.items()}
        asks = {name: partial(_ask, end) for name, end in ends.items() if not reasons[name]}
        timings = _settled(asks, max(2, most)) if asks else {}
    return {name: timings.get(name, Timing(math.inf, unavailable=reasons[name])) for name in makers}


def _settled(sides: Mapping[str, Callable[[], float]], most: int) -> dict[str, Timing]:
    """Rounds of all sides in turns, until their halves agree; each function returns the seconds of its round."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(1, most + 1):
        for name, timed in sides.items():
            seconds[name].append(timed())
        if turn >= min(FEWEST, most):
            timings = {name: Timing.of(values) for name, values in seconds.items()}
            if all(timing.agrees for timing in timings.values()):
                break
    return timings


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _ask(end: Connection) -> float:
    end.send(None)
    return float(end.recv())


def _serve(make: Callable[[], Callable[[], object]], end: Connection) -> None:
    """Say whether `make` can make its function; then time it at every request, until the other end is closed."""
    try:
        call = make()
    except UnavailableError as error:
        end.send(str(error))
        return
    end.send("")
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

"""Rounds in turns, until both halves agree."""

import math
import time
from collections.abc import Callable
from functools import partial

from benchmarks.timing import FEWEST, Timing, UnavailableError, _settled, alternate, alternate_processes


def scripted(*seconds: float) -> Callable[[], float]:
    """A side whose rounds take these seconds."""
    return iter(seconds).__next__


def test_the_least_of_both_halves_counts_and_their_ratio_is_the_spread() -> None:
    assert Timing.of([3.0, 2.0, 9.0, 8.0, 4.0]) == Timing(2.0, spread=2.0, rounds=5)
    assert not Timing.of([1.0, 1.2]).agrees and Timing.of([1.09, 1.0]).agrees


def test_rounds_end_when_the_halves_of_every_side_agree() -> None:
    steady, late = [1.0] * 20, [5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    took = _settled({"steady": scripted(*steady), "late": scripted(*late)}, most=20)
    assert FEWEST == 6 and took["late"] == Timing(1.0, rounds=8)  # 5 5 5 1 | 1 1 1 1
    assert took["steady"] == Timing(1.0, rounds=8)


def test_rounds_end_at_the_most_and_the_timing_says_that_the_halves_differ() -> None:
    falling = [2.0**-turn for turn in range(10)]
    took = _settled({"side": scripted(*falling)}, most=10)["side"]
    assert took.rounds == 10 and took.seconds == 2.0**-9 and took.spread == 32 and not took.agrees


def test_functions_take_turns() -> None:
    calls: list[str] = []
    took = alternate({name: partial(calls.append, name) for name in "ab"}, rounds=2, warm_up=1)
    assert calls == list("ababab") and set(took) == {"a", "b"}


def refuse() -> Callable[[], object]:
    raise UnavailableError("there is no compiler")


def test_sides_have_processes_of_their_own_and_one_that_cannot_run_says_why() -> None:
    took = alternate_processes({"sleeps": partial(partial, time.sleep, 0.01), "refuses": refuse}, most=2)
    assert 0.01 <= took["sleeps"].seconds < 1 and took["sleeps"].rounds == 2
    assert took["refuses"] == Timing(math.inf, unavailable="there is no compiler")

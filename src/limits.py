"""Limits of settings: an interval such as "[0, 1)" or a list of values. Imports nothing heavy."""

import math
import re
from typing import Any

Limit = str | list[Any] | None


def within(value: Any, limit: Limit) -> bool:
    """Whether a value is one of the list, or a number in the interval; a boolean is no number."""
    if isinstance(limit, list):
        return any(value == one and type(value) is type(one) for one in limit)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    opening, low, high, closing = _interval(limit)
    return (value >= low if opening == "[" else value > low) and (value <= high if closing == "]" else value < high)


def is_limit(limit: Any) -> bool:
    """Whether this can limit a setting."""
    if isinstance(limit, list):
        return bool(limit) and all(isinstance(one, str | int | float) for one in limit)
    try:
        _, low, high, _ = _interval(limit)
    except ValueError:
        return False
    return low <= high


def _interval(limit: Any) -> tuple[str, float, float, str]:
    """The parts of "[0, 1)"; raises ValueError for anything else."""
    found = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", str(limit))
    if not found:
        raise ValueError(f"not an interval: {limit}")
    return found[1], float(found[2]), float(found[3]), found[4]

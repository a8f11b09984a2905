"""Limits of settings: an interval such as "[0, 1)" or a list of values. Imports nothing heavy."""

import math
import re
from typing import Any

from depthlab.config.errors import UserError

MAX_TEXT = 4096  # characters of a text; no path is longer
MAX_SHOWN = 60  # characters in an error message
Limit = str | list[Any] | None
DROP_STEPS = 256  # probabilities of dropout and DropEdge are multiples of 1/256, see src/depthlab/ops/masks.py


def within(value: Any, limit: Limit) -> bool:
    """Whether a value is in the list or, as a number that is not a boolean, in the interval."""
    if isinstance(limit, list):
        return any(value == allowed and type(value) is type(allowed) for allowed in limit)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    opening, low, high, closing = _interval(limit)
    return (value >= low if opening == "[" else value > low) and (value <= high if closing == "]" else value < high)


def check_text(key: str, value: Any) -> None:
    """Raise UserError for a text that is not one line of printable characters, or is too long."""
    if isinstance(value, str) and not value.isprintable():
        raise UserError(f"{key} must be one line of printable characters, got {value[:MAX_SHOWN]!r}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise UserError(f"{key} must have at most {MAX_TEXT:,} characters, got {len(value):,}")


def shown(value: Any) -> str:
    """A value for an error message, cut off if it is long."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def is_drop_probability(probability: float) -> bool:
    """Whether a drop probability is 0 or does not round to 0 or 1."""
    return probability == 0 or 0 < round(probability * DROP_STEPS) < DROP_STEPS


def nearest_drop_probability(probability: float) -> float:
    """The nearest drop probability that `is_drop_probability` accepts."""
    if is_drop_probability(probability):
        return probability
    return 0.0 if probability < 0.5 else 1 - 1 / DROP_STEPS


def is_limit(limit: Any) -> bool:
    """Whether this can limit a setting."""
    if isinstance(limit, list):
        return bool(limit) and all(isinstance(allowed, str | int | float) for allowed in limit)
    try:
        _, low, high, _ = _interval(limit)
    except ValueError:
        return False
    return low <= high


def _interval(limit: Any) -> tuple[str, float, float, str]:
    """The parts of "[0, 1)"; raises ValueError for anything else."""
    match = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", str(limit))
    if not match:
        raise ValueError(f"not an interval: {limit}")
    return match[1], float(match[2]), float(match[3]), match[4]

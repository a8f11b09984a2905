"""The search space of a sweep: the range of each hyperparameter, in Hydra's sweep syntax. Imports nothing heavy."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, QuotedString, RangeSweep

from depthlab.config.errors import UserError
from depthlab.config.overrides import count_values

SYNTAX = "interval(0.1, 0.5), int(interval(1, 8)), tag(log, interval(0.001, 0.1)), or values, 0.1,0.2"
MAX_VALUES = 10_000  # of one hyperparameter, listed
Value = float | int | str | bool


@dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take.

    Attributes:
        choices: the values, if they are listed.
        low, high: the ends of the interval otherwise; both are ints if all values are.
        log: whether the interval is sampled on a logarithmic scale.
    """

    choices: tuple[Value, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False

    @property
    def content(self) -> dict[str, Any]:
        """The range as plain types, for JSON."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log, "integer": self.is_integer}

    @property
    def is_integer(self) -> bool:
        return isinstance(self.low, int)

    def ends(self) -> list[Value]:
        """Both ends, or every choice: if these are allowed, all values are."""
        return list(self.choices) or [self.low, self.high]

    def __contains__(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.is_integer or isinstance(value, int))

    def nearest(self, value: Any) -> Value:
        """The value itself if it is in the range, else the nearest end or the first choice."""
        if value in self:
            return value
        if self.choices or not isinstance(value, int | float):
            return self.ends()[0]
        return self.low if value < self.low else self.high if value > self.high else round(value)

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


def read_space(ranges: Mapping[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Range], list[str]]:
    """The search space, and the overrides that fix a setting.

    Args:
        ranges: content of conf/sweep/NAME.yaml: setting -> interval or values.
        overrides: from the command line; an interval or several values add or replace a range, one value fixes it.

    Raises:
        UserError: a range cannot be read, or the space is empty.
    """
    space = {key: read_range(key, str(value)) for key, value in ranges.items()}
    fixed: list[str] = []
    for text in overrides:
        override = _parse(text)
        key = override.key_or_group
        if override.is_sweep_override():
            space[key] = _range_of(override)
        else:
            space.pop(key, None)
            fixed.append(text)
    if not space:
        raise UserError("nothing is left to search: give a setting a range, such as 'p_drop=interval(0, 0.8)'")
    return space, fixed


def read_range(key: str, text: str) -> Range:
    """The range of a hyperparameter as a yaml file gives it; raises UserError if it is none."""
    override = _parse(f"{key}={text}")
    if not override.is_sweep_override():
        raise UserError(f"{key} of a sweep has to be a range, {SYNTAX}; got {text}")
    return _range_of(override)


def grid(space: Mapping[str, Range]) -> list[dict[str, Value]]:
    """All combinations of listed values; raises UserError if a range is an interval."""
    for key, values in space.items():
        if not values.choices:
            raise UserError(f"sampler=grid needs listed values: type {key}=..., such as {key}=0.1,0.2")
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*(r.choices for r in space.values()))]


def _parse(text: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([text])  # one at a time, so that an error names it
    if override.is_delete() or override.is_add() or override.package:
        raise UserError(f"cannot read '{text}': write key=value")
    return override


def _range_of(override: Override) -> Range:
    key, value = override.key_or_group, override.value()
    if count_values(override) > MAX_VALUES:
        raise UserError(f"{key} has more than {MAX_VALUES:,} values: give an interval, interval(0, 1)")
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if low is None or high is None or not low < high:
            raise UserError(f"the interval of {key} must begin below its end, got {low} to {high}")
        if log and low <= 0:
            raise UserError(f"a logarithmic interval must begin above 0, got {key} from {low:g}")
        return Range(low=low, high=high, log=log)
    if isinstance(value, RangeSweep):
        values: list[Any] = list(value.range())
    elif isinstance(value, ChoiceSweep):
        values = [item.text if isinstance(item, QuotedString) else item for item in value.list]
    else:
        raise UserError(f"cannot read the range of {key}: write {SYNTAX}")
    values = [item if isinstance(item, int | float | bool) else str(item) for item in values]
    if len(values) != len(set(map(str, values))) or not values:
        raise UserError(f"{key} must have at least one value, and no value twice")
    return Range(choices=tuple(values))

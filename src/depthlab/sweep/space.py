"""The space of a sweep: what each knob may be, in Hydra's own words. Imports nothing heavy."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, QuotedString, RangeSweep

from depthlab.config.errors import UserError
from depthlab.config.overrides import count_values

HOW = "interval(0.1, 0.5), int(interval(1, 8)), tag(log, interval(0.001, 0.1)), or values, 0.1,0.2"
MAX_VALUES = 10_000  # of one knob, listed
Value = float | int | str | bool


@dataclass(frozen=True)
class Knob:
    """What one setting may be.

    Attributes:
        choices: its values, where they are listed.
        low, high: the ends of its interval otherwise, which are whole numbers if all its values are.
        log: whether the logarithm is searched evenly.
    """

    choices: tuple[Value, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int)

    def ends(self) -> list[Value]:
        """Values that have to be allowed if all between them are: the ends, or every choice."""
        return list(self.choices) or [self.low, self.high]

    def holds(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or isinstance(value, int))

    def nearest(self, value: Any) -> Value:
        """The value itself if it is one of the knob's, else the nearest end or the first choice."""
        if self.holds(value):
            return value
        if self.choices or not isinstance(value, int | float):
            return self.ends()[0]
        return self.low if value < self.low else self.high if value > self.high else round(value)

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


def read_space(written: Mapping[str, Any], typed: Sequence[str]) -> tuple[dict[str, Knob], list[str]]:
    """The knobs of a sweep, and what was typed beside them.

    Args:
        written: of conf/sweep/NAME.yaml: setting -> interval or values.
        typed: from the command line; an interval or several values add a knob or replace one, a value fixes it.

    Raises:
        UserError: a range cannot be read, or no knob is left.
    """
    knobs = {key: read_knob(key, str(value)) for key, value in written.items()}
    rest: list[str] = []
    for text in typed:
        override = _parse(text)
        key = override.key_or_group
        if override.is_sweep_override():
            knobs[key] = _knob(override)
        else:
            knobs.pop(key, None)
            rest.append(text)
    if not knobs:
        raise UserError("nothing is left to search: give a knob a range, such as 'p_drop=interval(0, 0.8)'")
    return knobs, rest


def read_knob(key: str, text: str) -> Knob:
    """A knob as it stands in a yaml; raises UserError if it is none."""
    override = _parse(f"{key}={text}")
    if not override.is_sweep_override():
        raise UserError(f"{key} of a sweep has to be a range, {HOW}; got {text}")
    return _knob(override)


def grid(knobs: Mapping[str, Knob]) -> list[dict[str, Value]]:
    """All combinations of knobs whose values are listed; raises UserError if one is an interval."""
    for key, knob in knobs.items():
        if not knob.choices:
            raise UserError(f"sampler=grid needs values for every knob: type {key}=..., such as {key}=0.1,0.2")
    return [dict(zip(knobs, values, strict=True)) for values in itertools.product(*(k.choices for k in knobs.values()))]


def _parse(text: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([text])  # that of one names no setting in its errors
    if override.is_delete() or override.is_add() or override.package:
        raise UserError(f"cannot read '{text}': write key=value")
    return override


def _knob(override: Override) -> Knob:
    key, value = override.key_or_group, override.value()
    if count_values(override) > MAX_VALUES:
        raise UserError(f"{key} has more than {MAX_VALUES:,} values: give an interval, interval(0, 1)")
    if isinstance(value, RangeSweep):
        values: list[Any] = list(value.range())
    elif isinstance(value, ChoiceSweep):
        values = [item.text if isinstance(item, QuotedString) else item for item in value.list]
    elif isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if low is None or high is None or not low < high:
            raise UserError(f"the interval of {key} has to go upwards, got {low} to {high}")
        if log and low <= 0:
            raise UserError(f"{key} cannot be searched by its logarithm from {low:g} on: begin above 0")
        return Knob(low=low, high=high, log=log)
    else:
        raise UserError(f"cannot read the range of {key}: write {HOW}")
    values = [str(item) if not isinstance(item, int | float | bool) else item for item in values]
    if len(values) != len(set(map(str, values))) or not values:
        raise UserError(f"{key} has to have values, each of them once")
    return Knob(choices=tuple(values))

"""Draws values of any size on an axis: on a logarithmic one zeros lie on a floor below the smallest value."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
FEW = 3  # decades up to which ticks are 1, 2, 5, 10, ...


class ValueAxis:
    """The vertical axis of one panel.

    Args:
        scale: `linear` or `log`; without a positive value the axis is linear.
        values: everything that the panel draws.
    """

    def __init__(self, scale: str, values: Iterable[Any]) -> None:
        parts = [np.asarray(part, float).ravel() for part in values]
        every = np.concatenate([*parts, np.empty(0)])
        finite = every[np.isfinite(every)]
        positive = finite[finite > 0]
        self.is_log = scale == "log" and len(positive) > 0
        self.decades = self.low = self.high = 0.0
        self.floor: float | None = None
        if self.is_log:
            low, high = math.log10(positive.min()), math.log10(positive.max())
            self.decades, self.low, self.high = high - low, low, high
            if len(positive) < len(finite):
                self.floor = 10 ** (math.floor(low) - max(1, math.ceil(self.decades / 12)))

    def place(self, values: Any) -> Array:
        """The values as they are drawn: zeros on the floor; NaN for what is not finite."""
        found = np.where(np.isfinite(values), values, np.nan).astype(float)
        if not self.is_log:
            return found
        floor = math.nan if self.floor is None else self.floor
        return np.where(found > 0, found, np.where(np.isnan(found), np.nan, floor))

    def finish(self, axes: "Axes") -> None:
        """Set scale and ticks, and mark the floor."""
        if not self.is_log:
            return
        from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

        axes.set_yscale("log")
        if self.decades < FEW:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if self.floor is not None:  # no tick at the floor, whose label is 0
            first, last = math.floor(self.low), math.ceil(self.high)
            powers = range(last, first - 1, -max(1, math.ceil((last - first) / 6)))
            axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in powers]))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.axhline(self.floor, color="grey", lw=0.8, ls=(0, (1, 3)), zorder=0)
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate("0", (0, self.floor), xytext=(-4, 0), ha="right", va="center", color="grey", **place)
            axes.set_ylim(bottom=self.floor / 10 ** max(0.15, self.decades / 40))

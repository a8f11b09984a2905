"""Mean, spread and confidence over repeated runs; differences paired by seed and split.

A run without a value is NaN. It is not imputed: a summary says how many of the planned runs have a value.
"""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from depthlab.tasks.metrics import Metric

CONFIDENCE = 0.95
FEWEST = 3  # fewest values of an interval: the spread of one or two is meaningless


@dataclass(frozen=True)
class Summary:
    r"""Statistics of the runs that have a value.

    Attributes:
        n: number of averaged values: runs, or splits if there is more than one.
        mean: their mean; NaN for n = 0.
        std: standard deviation with n - 1 in the denominator; NaN for n < 2.
        half: half the width of the 95 % interval of the mean, :math:`t_{0.975, n-1} \, s / \sqrt n` (Student 1908);
            NaN for n < 3.
        runs: how many runs have a value.
        asked: how many runs were planned.
    """

    n: int
    mean: float
    std: float
    half: float
    runs: int
    asked: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    @property
    def has_interval(self) -> bool:
        """Whether there are enough values for an interval."""
        return self.n >= FEWEST

    @property
    def missing(self) -> str:
        """`2 of 3` if runs are missing, else empty."""
        return n_of_m(self.runs, self.asked)


def n_of_m(runs: int, asked: int) -> str:
    """`2 of 3` if fewer runs have a value than were planned, else empty."""
    return f"{runs} of {asked}" if runs < asked else ""


def summarize(values: Sequence[float]) -> Summary:
    """Summary of one value per run; NaN for a run without one."""
    present = [value for value in values if not math.isnan(value)]
    return _summary(present, len(present), len(values))


def over_runs(values: Mapping[tuple[int, str], float]) -> Summary:
    """Summary of values by (seed, split); with more than one split, of the means within each split.

    Runs that share a split share its difficulty: counted one by one they would make the interval too narrow.

    Args:
        values: of every planned run; NaN for a run without one.
    """
    splits: dict[str, list[float]] = defaultdict(list)
    for (_, split), value in values.items():
        splits[split].append(value)
    if len(splits) == 1:
        return summarize(list(values.values()))
    groups = [[value for value in group if not math.isnan(value)] for group in splits.values()]
    means = [float(np.mean(group)) for group in groups if group]
    return _summary(means, sum(map(len, groups)), len(values))


def paired(first: Mapping[tuple[int, str], float], second: Mapping[tuple[int, str], float]) -> Summary:
    """Summary of second - first over the (seed, split) pairs planned for both; n = 0 if they share no value.

    Pairing removes the effect of a seed or split that both lines share, so the interval is that of the difference.
    """
    shared = sorted(first.keys() & second.keys())
    return over_runs({key: second[key] - first[key] for key in shared})


def paired_p(first: Mapping[tuple[int, str], float], second: Mapping[tuple[int, str], float]) -> float:
    """Two-sided p-value of a paired t-test over the (seed, split) pairs that both have, as for `paired`.

    1 without enough pairs for an interval; 0 if all differences are the same and not 0.
    """
    difference = paired(first, second)
    if not difference.has_interval:
        return 1.0
    if not difference.std:
        return 0.0 if difference.mean else 1.0
    from scipy.special import stdtr

    statistic = abs(difference.mean) / (difference.std / math.sqrt(difference.n))
    return float(2 * stdtr(difference.n - 1, -statistic))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the same order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, largest = [1.0] * len(values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[at]))
        adjusted[at] = largest
    return adjusted


def format_mean(summary: Summary, metric: Metric, sign: bool = False, unit: bool = False) -> str:
    """`81.9 ± 0.2`, with `(9 of 10)` where runs are missing; `-` where there is no value.

    Args:
        metric: of the values; one that is a share is written in %.
        sign: write one before the mean, as for a difference.
        unit: write `%` behind a share.
    """
    missing = f" ({summary.missing})" if summary.missing else ""
    if not summary.n:
        return f"-{missing}"
    mean = f"{metric.factor * summary.mean:{'+' if sign else ''}{metric.digits}}"
    half = f" ± {metric.factor * summary.half:{metric.digits}}" if summary.has_interval else ""
    return f"{mean}{half}{metric.unit if unit else ''}{missing}"


def counted(names: Iterable[str]) -> str:
    """`9 healthy, 1 over-fitted`, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


def _summary(values: Sequence[float], runs: int, asked: int) -> Summary:
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    std = float(np.std(values, ddof=1)) if n > 1 else math.nan
    half = _quantile(n - 1) * std / math.sqrt(n) if n >= FEWEST else math.nan
    return Summary(n, mean, std, half, runs, asked)


@functools.cache
def _quantile(freedom: int) -> float:
    """Quantile 0.975 of Student's distribution with this many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))

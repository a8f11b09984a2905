"""Mean, spread and confidence over repeated runs; differences paired by seed and split. Every value counts."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    r"""Statistics of n values.

    Attributes:
        n: how many.
        mean: their mean.
        std: standard deviation with n - 1 in the denominator; NaN for n = 1.
        half: half the width of the 95 % interval of the mean, :math:`t_{0.975, n-1} \, s / \sqrt n` (Student 1908);
            NaN for n = 1.
    """

    n: int
    mean: float
    std: float
    half: float

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def summarize(values: Sequence[float]) -> Summary:
    """Summary of values that are all there; raises ValueError if there is none."""
    n = len(values)
    if n == 0:
        raise ValueError("a mean needs at least one value")
    mean = float(np.mean(values))
    if n == 1:
        return Summary(1, mean, math.nan, math.nan)
    std = float(np.std(values, ddof=1))
    return Summary(n, mean, std, float(t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * std / math.sqrt(n))


def over_runs(values: Mapping[tuple[int, str], float]) -> Summary:
    """Summary of values by (seed, split). Where there are several splits, of the means within each split.

    Runs that share a split share its difficulty: counted one by one they would make the interval too narrow.
    """
    splits: dict[str, list[float]] = defaultdict(list)
    for (_, split), value in values.items():
        splits[split].append(value)
    if len(splits) == 1:
        return summarize(list(values.values()))
    return summarize([float(np.mean(group)) for group in splits.values()])


def counted(names: Iterable[str]) -> str:
    """`9 healthy, 1 over-fitted`, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


def paired(first: Mapping[tuple[int, str], float], second: Mapping[tuple[int, str], float]) -> Summary | None:
    """Summary of second - first over the (seed, split) pairs that both have; None if they share none.

    Pairing removes what a seed or split does to both lines alike, so the interval is that of the difference itself.
    """
    shared = sorted(first.keys() & second.keys())
    return over_runs({key: second[key] - first[key] for key in shared}) if shared else None

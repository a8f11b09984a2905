"""Drawing functions for the figures: means with intervals, bands of quartiles, labels at points with missing runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from depthlab.measures.axis import ValueAxis
from depthlab.statistics import Summary, n_of_m
from depthlab.tasks.metrics import Metric
from depthlab.text import for_figure

MARKERS = {
    "healthy": "o", "over-smoothed": "X", "untrainable": "v", "over-squashed": "<", "over-fitted": "s",
    "under-fitted": "^", "diverged": "D", "unknown": "P",
}  # fmt: skip
Look = tuple[str, str]  # colour and dashes of a method
QUARTILES = (0.25, 0.5, 0.75)
NARROWEST = 2.1  # inches of a panel in a paper


@dataclass(frozen=True)
class Band:
    """Quartiles of a curve over runs, (3, k), and how many runs have a value at each of its k points, (k,)."""

    quartiles: np.ndarray[Any, Any]
    runs: np.ndarray[Any, Any]


def band(curves: Sequence[Sequence[float]]) -> Band:
    """Quartiles of the finite values; an empty curve stands for a run without one."""
    layers = [np.array(values) for values in zip(*filter(None, curves), strict=True)]
    finite = [values[np.isfinite(values)] for values in layers]
    quartiles = np.array([np.quantile(v, QUARTILES) if len(v) else [np.nan] * 3 for v in finite]).reshape(-1, 3).T
    return Band(quartiles, np.array([len(v) for v in finite], int))


class Missing:
    """Writes `2 of 3` beside points with missing runs; the legend explains it if there are any."""

    NOTE = "2 of 3: runs with a value,\nof those planned"

    def __init__(self) -> None:
        self.any = False
        self._at_the_bottom: Counter[tuple[int, float]] = Counter()

    def mark(
        self, axes: Axes, x: Iterable[Any], y: Iterable[Any], runs: Iterable[int], asked: Iterable[int], look: Look
    ) -> None:
        """Label every point with fewer runs than planned; at the bottom if no run has a value."""
        for at, height, present, planned in zip(x, y, runs, asked, strict=True):
            text = n_of_m(int(present), int(planned))
            if not text:
                continue
            self.any = True
            style: dict[str, Any] = {"color": look[0], "fontsize": "x-small", "textcoords": "offset points"}
            if present:
                axes.annotate(text, (at, height), xytext=(4, 4), **style)
            else:
                above = self._at_the_bottom[id(axes), float(at)]
                self._at_the_bottom[id(axes), float(at)] += 1
                where = ("data", "axes fraction")
                axes.annotate(text, (at, 0), xycoords=where, xytext=(0, 2 + 9 * above), ha="center", **style)

    def mark_changes(self, axes: Axes, band: Band, y: np.ndarray[Any, Any], asked: int, look: Look) -> None:
        """Label the first point of a curve over 0, 1, ..., and every point where the number of runs changes.

        Args:
            band: the band, with the number of runs at each point.
            y: heights, (k,).
            asked: number of planned runs.
        """
        runs = band.runs
        if not len(runs):  # none has a curve
            self.mark(axes, [0], [0], [0], [asked], look)
        first = [k for k in range(len(runs)) if not k or runs[k] != runs[k - 1]]
        self.mark(axes, first, y[first], runs[first], [asked] * len(first), look)


def draw_means(
    axes: Axes,
    points: Mapping[Any, Summary],
    verdicts: Mapping[Any, str],
    look: Look,
    shown: dict[str, None],
    marks: Missing,
    metric: Metric,
) -> None:
    """Draw means (shares in %), their intervals, and the most frequent verdict of each point as its marker.

    Args:
        points: summary by horizontal coordinate.
        verdicts: verdict by horizontal coordinate; the drawn ones are added to `shown`.
    """
    color, dash = look
    present = {x: point for x, point in points.items() if point.n}
    means = [metric.factor * point.mean for point in present.values()]
    halves = [metric.factor * point.half if point.has_interval else 0.0 for point in present.values()]
    low, high = (np.add(means, np.multiply(sign, halves)) for sign in (-1, 1))
    if metric.percent:
        low, high = np.clip(low, 0, 100), np.clip(high, 0, 100)
    axes.plot(list(present), means, dash, color=color)
    axes.fill_between(list(present), low, high, color=color, alpha=0.16, lw=0)
    for x, mean in zip(present, means, strict=True):
        style: dict[str, Any] = {"color": color, "mec": "white", "mew": 0.7}
        axes.plot(x, mean, MARKERS.get(verdicts[x], "P"), **style, clip_on=False)  # not clipped at 0 and at 100 %
        shown.setdefault(verdicts[x])
    runs, asked = ([getattr(point, name) for point in points.values()] for name in ("runs", "asked"))
    marks.mark(axes, points, [metric.factor * point.mean for point in points.values()], runs, asked, look)


def common_verdict(runs: pd.DataFrame) -> str:
    """The most frequent verdict, `unknown` where there is none."""
    return str(next(iter(runs["verdict"].mode()), "unknown"))


def draw_band(
    axes: Axes, x: np.ndarray[Any, Any], quartiles: np.ndarray[Any, Any], look: Look, marker: str, axis: ValueAxis
) -> None:
    """Draw a median with its quartiles, (3, k), on a value axis."""
    if not np.isfinite(quartiles[1]).any():
        return
    color, dash = look
    quartiles = axis.place(quartiles)
    axes.plot(x, quartiles[1], marker + dash, color=color)
    axes.fill_between(x, quartiles[0], quartiles[2], color=color, alpha=0.16, lw=0)


def style(width: float | None) -> dict[str, Any]:
    """Matplotlib's settings: for the screen, or with the type of a paper's column."""
    sizes = {"font.size": 11, "legend.fontsize": 10, "lines.linewidth": 1.6, "lines.markersize": 7}
    if width is not None:
        sizes = {"font.size": 8, "legend.fontsize": 7, "lines.linewidth": 1.1, "lines.markersize": 4}
    spines = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    return sizes | spines | {"pdf.fonttype": 42, "svg.hashsalt": "depthlab"}


def grid(rows: int, columns: int, size: tuple[float, float], width: float | None, **shared: Any) -> tuple[Figure, Any]:
    """A figure and its panels, (rows, columns).

    Args:
        size: of the figure in inches on the screen.
        width: of the figure in a paper: as many panels stand side by side as fit; None for the screen.
    """
    if width is None:
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **shared)
    fit = max(1, min(columns, int(width / NARROWEST)))
    lines = -(-rows * columns // fit)
    figure = Figure(figsize=(width, 0.2 + lines * max(1.9, 0.72 * width / fit)), layout="constrained")
    panels = figure.subplots(lines, fit, squeeze=False).ravel()
    for axes in panels[rows * columns :]:
        axes.remove()
    return figure, panels[: rows * columns].reshape(rows, columns)


def legend(
    figure: Figure,
    looks: Mapping[str, Look],
    verdicts: Mapping[str, None],
    title: str,
    marks: Missing,
    width: float | None = None,
) -> None:
    """Add the colours and dashes of the methods and the markers of the verdicts: beside the panels, or below them."""
    if marks.any:
        title += f"\n{marks.NOTE}"
    handles = [
        Line2D([], [], color=color, ls=dash, label=for_figure(method)) for method, (color, dash) in looks.items()
    ]
    handles += [Line2D([], [], color="grey", marker=MARKERS.get(name, "P"), ls="", label=name) for name in verdicts]
    if width is None:
        lines = len(handles) + 2 + title.count("\n")
        figure.set_figheight(max(figure.get_figheight(), 0.24 * lines))  # a legend is as high as its lines
        figure.legend(handles=handles, loc="outside right upper", title=title, alignment="left", handlelength=3)
    else:
        longest = max((len(str(handle.get_label())) for handle in handles), default=1)
        fit = min(len(handles), max(1, int(width / (0.45 + 0.055 * longest))))
        height = 0.15 * (-(-len(handles) // fit) + 1 + title.count("\n"))
        figure.set_size_inches(width, figure.get_figheight() + height)
        figure.legend(handles=handles, loc="outside lower center", title=title, ncols=fit, handlelength=3)

"""A study as pictures for a paper: accuracy, energy and rank against depth, measures by layer, frames of the film."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from src.report.cells import CURVES, LAST, Film, Report
from src.report.table import metric, scores
from src.statistics import over_runs
from src.study.lines import COLORS, line_looks

MARKERS = {
    "healthy": "o", "over-smoothed": "X", "untrainable": "v", "over-squashed": "<", "over-fitted": "s",
    "under-fitted": "^", "diverged": "D", "unknown": "P",
}  # fmt: skip
LABELS = {
    "dirichlet_energy": "Dirichlet energy",
    "rayleigh_quotient": "Rayleigh quotient",
    "effective_rank": "effective rank",
    "gradient_norm_first_epoch": "gradient norm, epoch 1",
    "max_abs": "largest |x|",
}
STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
QUARTILES = (0.25, 0.5, 0.75)
FRAMES = 7  # of the film that fit on paper


def accuracy_figure(report: Report) -> Figure:
    """Mean test accuracy against depth with its 95 % interval; the marker is the most frequent verdict."""
    datasets = list(report.cells.groupby("dataset", sort=False))
    figure = Figure(figsize=(1.5 + 4.6 * len(datasets), 4.2), layout="constrained")
    looks, seen = line_looks(report.cells["line"]), dict[str, None]()
    for axes, (dataset, cells) in zip(_panels(figure, 1, len(datasets)), datasets, strict=True):
        for line, group in cells.groupby("line", sort=False):
            points = [point for depth in sorted(group["depth"].unique()) if (point := _accuracy(group, depth))]
            depths = [point.depth for point in points]
            color, dash = looks[str(line)]
            axes.plot(depths, [point.mean for point in points], dash, color=color, linewidth=1.6)
            axes.fill_between(depths, [p.low for p in points], [p.high for p in points], color=color, alpha=0.16, lw=0)
            for point in points:
                marker = MARKERS.get(point.verdict, "P")
                axes.plot(point.depth, point.mean, marker, color=color, markersize=7, mec="white", mew=0.7)
                seen.setdefault(point.verdict)
        _depth_axis(axes, cells)
        axes.set(title=str(dataset), ylabel=f"test {metric(cells)[1]}, %")
        axes.set_ylim(0, 100)
    legend(figure, looks, seen, "mean, 95 % interval")
    return figure


def depth_figure(report: Report) -> Figure:
    """Energy, effective rank and Rayleigh quotient of the last layer against depth: medians and quartiles."""
    datasets = list(report.cells.groupby("dataset", sort=False))
    figure = Figure(figsize=(1.5 + 4.2 * len(LAST), 3.6 * len(datasets)), layout="constrained")
    looks = line_looks(report.cells["line"])
    panels = iter(_panels(figure, len(datasets), len(LAST)))
    for dataset, cells in datasets:
        for name in LAST:
            axes = next(panels)
            for line, group in cells[np.isfinite(cells[name])].groupby("line", sort=False):
                found = group.groupby("depth")[name].quantile(QUARTILES).unstack()
                _band(axes, found.index.to_numpy(), found.to_numpy().T, looks[str(line)], "o")
            _depth_axis(axes, cells)
            axes.set(ylabel=f"{LABELS[name]}, last layer", title=str(dataset) if name == LAST[0] else "")
            axes.set_yscale("linear" if name == "effective_rank" else "log")
    legend(figure, looks, {}, "median, quartiles")
    return figure


def layers_figure(report: Report, dataset: str, depth: int) -> Figure:
    """What was recorded by layer, of all lines at one depth: medians and quartiles over the runs."""
    names = recorded(report)
    cells = report.cells[(report.cells["dataset"] == dataset) & (report.cells["depth"] == depth)]
    columns = max(1, math.ceil(len(names) / 2))
    figure = Figure(figsize=(1.4 + 4.1 * columns, 6.6), layout="constrained")
    looks = line_looks(report.cells["line"])
    for axes, name in itertools.zip_longest(_panels(figure, 2, columns), names):
        if name is None:
            axes.set_axis_off()
            continue
        for line, group in cells.groupby("line", sort=False):
            quartiles = layer_quartiles(report, group, name)
            if quartiles is not None:
                _band(axes, np.arange(quartiles.shape[1]), quartiles, looks[str(line)], "")
        axes.set(xlabel="layer", ylabel=LABELS[name], xticks=np.linspace(0, depth, 5 if depth % 4 == 0 else 2))
        axes.set_yscale("log")
        axes.grid(alpha=0.25)
    title = f"{dataset}, {depth} layers; 0 is what enters the first, {depth} may be the logits"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    legend(figure, {str(line): looks[str(line)] for line in dict.fromkeys(cells["line"])}, {}, "median, quartiles")
    return figure


def film_figure(films: list[Film]) -> Figure:
    """Some frames of the film: a row for each network, a column for each of some layers."""
    figure = Figure(figsize=(2.0 * FRAMES, 2.15 * len(films)), layout="constrained")
    panels = iter(_panels(figure, len(films), FRAMES))
    for film in films:
        last = len(film.points) - 1
        limit = film.extent
        shown = np.unique(np.round(np.geomspace(1, last, FRAMES - 1)).astype(int)) if last else np.array([], int)
        for column, layer in enumerate([0, *shown, *[None] * (FRAMES - 1 - len(shown))]):
            axes = next(panels)
            axes.set_axis_off()
            if layer is None:
                continue
            x, y = film.points[layer].T
            axes.scatter(x, y, s=2, c=[COLORS[k % len(COLORS)] for k in film.y], linewidths=0, rasterized=True)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            axes.set_title(f"layer {layer}", fontsize=10)
            if column == 0:
                axes.text(-1.35 * limit, 0, f"{film.line}\n{film.dataset}", rotation=90, ha="center", va="center")
    return figure


def recorded(report: Report) -> list[str]:
    """The measures by layer that some cell has."""
    return [name for name in CURVES if any(key == name for _, key in report.curves)]


def layer_quartiles(report: Report, cells: pd.DataFrame, name: str) -> np.ndarray[Any, Any] | None:
    """Quartiles (3, layers) of a measure over the cells, without states that are not finite; None if there is none.

    Diverged runs, which show the state before, count only where no other run is. Zeros become NaN: the axis is a log.
    """
    finished = cells[cells["outcome"] == "finished"]
    shown = cells if finished.empty else finished
    found = [curve for run_id in shown["run_id"].dropna() if (curve := report.curves.get((run_id, name)))]
    if not found:
        return None
    layers = [values[np.isfinite(values)] for values in np.array(found).T]
    quartiles = np.array([np.quantile(v, QUARTILES) if len(v) else [np.nan] * 3 for v in layers]).T
    return np.where(quartiles > 0, quartiles, np.nan)


@dataclass(frozen=True)
class Point:
    """Accuracy of a line at one depth, in %, and the most frequent verdict."""

    depth: int
    mean: float
    low: float
    high: float
    verdict: str


def _accuracy(cells: pd.DataFrame, depth: int) -> Point | None:
    values = scores(cells, depth)
    if not values:
        return None
    summary = over_runs(values)
    half = summary.half if summary.n > 2 else 0.0
    verdict = cells[cells["depth"] == depth]["verdict"].mode().iloc[0]
    low, high = max(0.0, summary.mean - half), min(1.0, summary.mean + half)
    return Point(int(depth), 100 * summary.mean, 100 * low, 100 * high, verdict)


def _panels(figure: Figure, rows: int, columns: int) -> list[Axes]:
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def _band(
    axes: Axes, x: np.ndarray[Any, Any], quartiles: np.ndarray[Any, Any], look: tuple[str, str], marker: str
) -> None:
    if not (quartiles[1] > 0).any():
        return  # a log axis with nothing on it fails to draw
    color, dash = look
    axes.plot(x, quartiles[1], marker + dash, color=color, linewidth=1.6, markersize=5)
    axes.fill_between(x, quartiles[0], quartiles[2], color=color, alpha=0.16, lw=0)


def _depth_axis(axes: Axes, cells: pd.DataFrame) -> None:
    depths = sorted(cells["depth"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.set_xlabel("depth")
    axes.grid(alpha=0.25)


def legend(figure: Figure, looks: Mapping[str, tuple[str, str]], seen: Mapping[str, None], title: str) -> None:
    """Lines with their colour and dashes, verdicts with their markers, beside the panels."""
    handles = [Line2D([], [], color=color, ls=dash, label=line, linewidth=2) for line, (color, dash) in looks.items()]
    handles += [Line2D([], [], color="grey", marker=MARKERS.get(name, "P"), ls="", label=name) for name in seen]
    figure.legend(handles=handles, loc="outside right upper", fontsize=10, title=title, alignment="left")

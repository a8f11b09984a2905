"""The figures of a report: scores and measures against depth, measures by layer, frames of the animation."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthlab.measures.axis import ValueAxis
from depthlab.measures.registry import Measure, in_report
from depthlab.report.animation import Animation
from depthlab.report.drawing import (
    QUARTILES,
    Band,
    Missing,
    band,
    common_verdict,
    draw_band,
    draw_means,
    grid,
    legend,
)
from depthlab.report.protocol import reported
from depthlab.report.runs import Report, measured
from depthlab.report.table import scores
from depthlab.statistics import n_of_m, over_runs
from depthlab.study.methods import COLORS, method_looks
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_figure

FRAMES = 7  # most frames of the animation in a row


def score_figure(report: Report, width: float | None = None) -> Figure:
    """Mean test score against depth with its 95 % interval; the marker is the most frequent verdict."""
    datasets = list(report.runs.groupby("dataset", sort=False))
    figure, panels = grid(1, len(datasets), (1.5 + 4.6 * len(datasets), 4.2), width)
    looks, shown, marks = method_looks(report.runs["method"]), dict[str, None](), Missing()
    for axes, (dataset, runs) in zip(panels.flat, datasets, strict=True):
        depths, metric = sorted(runs["depth"].unique()), METRICS[reported(runs)]
        for method, group in runs.groupby("method", sort=False):
            points = {depth: over_runs(scores(group, depth)) for depth in depths}
            verdicts = {depth: common_verdict(group[group["depth"] == depth]) for depth in depths}
            draw_means(axes, points, verdicts, looks[str(method)], shown, marks, metric)
        depth_axis(axes, runs)
        axes.set(title=for_figure(str(dataset)), ylabel=f"test {metric.quantity}")
        if metric.percent:
            axes.set_ylim(0, 100)
    legend(figure, looks, shown, "mean, 95 % interval", marks, width)
    return figure


def depth_figure(report: Report, width: float | None = None) -> Figure:
    """The measures of the last layer's state against depth: medians and quartiles."""
    datasets, measures = list(report.runs.groupby("dataset", sort=False)), measured(report.runs)
    size = 1.5 + 4.2 * len(measures), 3.6 * len(datasets)
    figure, axes_of = grid(len(datasets), len(measures), size, width)
    looks, marks = method_looks(report.runs["method"]), Missing()
    panels = iter(axes_of.flat)
    for dataset, runs in datasets:
        for measure in measures:
            axes, name = next(panels), measure.name
            bands = {str(method): _by_depth(group, name) for method, group in runs.groupby("method", sort=False)}
            axis = ValueAxis(measure.scale, (quartiles for _, quartiles, _, _ in bands.values()))
            for method, (x, quartiles, present, planned) in bands.items():
                draw_band(axes, x, quartiles, looks[method], "o", axis)
                marks.mark(axes, x, axis.place(quartiles[1]), present, planned, looks[method])
            depth_axis(axes, runs)
            axis.finish(axes)
            title = for_figure(str(dataset)) if measure is measures[0] or width else ""
            axes.set(ylabel=f"{measure.label}, last layer", title=title)
    legend(figure, looks, {}, "median, quartiles", marks, width)
    return figure


def _by_depth(runs: pd.DataFrame, name: str) -> tuple[np.ndarray[Any, Any], ...]:
    """Depths, quartiles (3, k) of the finite values, and how many runs have one and were planned."""
    parts = runs.assign(**{name: runs[name].where(np.isfinite(runs[name]))}).groupby("depth")[name]
    table = parts.quantile(QUARTILES).unstack()
    return table.index.to_numpy(), table.to_numpy().T, parts.count().to_numpy(), parts.size().to_numpy()


def layers_figure(report: Report, dataset: str, depth: int, width: float | None = None) -> Figure:
    """The measures by layer of all methods at one depth: medians and quartiles over the runs."""
    measures = recorded(report)
    runs = report.runs[(report.runs["dataset"] == dataset) & (report.runs["depth"] == depth)]
    columns = max(1, math.ceil(len(measures) / 2))
    figure, panels = grid(2, columns, (1.4 + 4.1 * columns, 6.6), width)
    looks, marks = method_looks(report.runs["method"]), Missing()
    for axes, measure in itertools.zip_longest(panels.flat, measures):
        if measure is None:
            axes.set_axis_off()
            continue
        groups = {str(method): group for method, group in runs.groupby("method", sort=False)}
        bands = {method: layer_band(report, group, measure) for method, group in groups.items()}
        axis = ValueAxis(measure.scale, (curve.quartiles for curve in bands.values()))
        for method, curve in bands.items():
            draw_band(axes, np.arange(len(curve.runs)), curve.quartiles, looks[method], "", axis)
            marks.mark_changes(axes, curve, axis.place(curve.quartiles[1]), len(groups[method]), looks[method])
        axes.set(xlabel="layer", ylabel=measure.label, xticks=np.linspace(0, depth, 5 if depth % 4 == 0 else 2))
        axis.finish(axes)
        axes.grid(alpha=0.25)
    title = f"{dataset}, {depth} layers; 0 is the input of the first layer, {depth} may be the logits"
    figure.suptitle(for_figure(title), x=0.01, ha="left", fontsize="medium", wrap=True)
    shown = {str(method): looks[str(method)] for method in dict.fromkeys(runs["method"])}
    legend(figure, shown, {}, "median, quartiles", marks, width)
    return figure


def animation_figure(animations: list[Animation], asked: int = 0, width: float | None = None) -> Figure:
    """Some frames of the animation: one row per network, one column for each of some layers.

    Args:
        asked: number of networks that should be shown; the title says if some are missing.
    """
    most = FRAMES if width is None else max(2, min(FRAMES, int(width / 0.8)))
    layers = [_shown_layers(len(animation.points) - 1, most) for animation in animations]
    columns = max(map(len, layers))
    side = 2.0 if width is None else width / columns
    figure = Figure(figsize=(side * columns, (side + 0.15) * len(animations)), layout="constrained")
    panels = figure.subplots(len(animations), columns, squeeze=False)
    for row, animation, shown in zip(panels, animations, layers, strict=True):
        limit = animation.extent
        for axes, layer in itertools.zip_longest(row, shown):
            axes.set_axis_off()
            if layer is None:
                continue
            x, y = animation.points[layer].T
            axes.scatter(
                x,
                y,
                s=(2 if len(x) > 600 else 8) * (side / 2) ** 2,
                c=[COLORS[k % len(COLORS)] for k in animation.y],
                linewidths=0,
                rasterized=True,
            )
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            axes.set_title(f"layer {animation.layers[layer]}", fontsize="medium")
        names = [for_figure(animation.method), for_figure(animation.dataset), *["(diverged)"] * animation.diverged]
        row[0].text(-1.35 * limit, 0, "\n".join(names), rotation=90, ha="center", va="center")
    if missing := n_of_m(len(animations), asked):
        figure.suptitle(f"{missing} networks: the others have no states", x=0.01, ha="left", fontsize="medium")
    return figure


def _shown_layers(last: int, most: int) -> list[int]:
    """At most `most` frames from 0 to the last, at growing distances."""
    return [0, *np.unique(np.round(np.geomspace(1, last, most - 1)).astype(int)).tolist()] if last else [0]


def recorded(report: Report) -> list[Measure]:
    """The measures by layer that some run has."""
    names = {name for _, name in report.curves}
    return [measure for measure in in_report() if measure.name in names]


def layer_band(report: Report, runs: pd.DataFrame, measure: Measure) -> Band:
    """Quartiles of a measure by layer over the runs, without states that are not finite; k = 0 if there is none.

    Diverged runs, which have their last finite state, count only if there is no other run.
    """
    finished = runs[runs["outcome"] == "finished"]
    shown = runs if finished.empty else finished
    return band([report.curves.get((run_id, measure.name), []) for run_id in shown["run_id"].dropna()])


def depth_axis(axes: Axes, runs: pd.DataFrame) -> None:
    depths = sorted(runs["depth"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.set_xlabel("depth")
    axes.grid(alpha=0.25)

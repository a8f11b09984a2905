"""The data of the page's charts: measures against depth and by layer, as JSON that charts.js draws."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from depthlab.measures.glossary import glossed_first
from depthlab.measures.registry import Measure
from depthlab.report.drawing import common_verdict
from depthlab.report.figures import layer_band, recorded
from depthlab.report.protocol import reported
from depthlab.report.runs import Report, measured
from depthlab.report.table import scores
from depthlab.statistics import n_of_m, over_runs
from depthlab.tasks.metrics import METRICS

POINTS = 129  # most layers of a curve; longer ones are thinned evenly
DIGITS = 4
Chart = dict[str, Any]


def charts(report: Report, runs: pd.DataFrame, methods: list[str]) -> list[Chart]:
    """The charts of one dataset.

    Args:
        runs: of the dataset.
        methods: all methods of the study; a curve refers to its method by position.

    Returns:
        For each chart `title`, `x` (name of its axis), `log` (whether that axis is logarithmic), `ticks`, `views`. A
        view has `label`, `scale`, `statistic`, `depth` (None for a chart against depth) and `curves`, each with
        `method`, `x`, `y`, `low`, `high`, `missing` (such as `2 of 3`) and `verdicts`.
    """
    depths = [int(depth) for depth in sorted(runs["depth"].unique())]
    against = [_score_view(runs, methods), *(_depth_view(runs, one, methods) for one in measured(runs))]
    against.append(_seconds_view(runs, methods))
    measures = {measure.name: measure for measure in recorded(report)}
    by_layer = [
        _layer_view(report, runs[runs["depth"] == depth], measures[name], depth, methods)
        for name in glossed_first(measures)
        for depth in reversed(depths)
    ]
    made = []
    if len(depths) > 1:
        made.append({"title": "against depth", "x": "depth", "log": True, "ticks": depths, "views": against})
    if by_layer:
        made.append({"title": "layer by layer", "x": "layer", "log": False, "ticks": None, "views": by_layer})
    return made


def _score_view(runs: pd.DataFrame, methods: list[str]) -> Chart:
    metric = METRICS[reported(runs)]
    curves = []
    for method, group in runs.groupby("method", sort=False):
        by_depth = dict(list(group.groupby("depth")))
        points = [over_runs(scores(part, int(depth))) for depth, part in by_depth.items()]
        means = [metric.factor * point.mean for point in points]
        halves = [metric.factor * point.half if point.has_interval else 0.0 for point in points]
        ends = [np.add(means, np.multiply(sign, halves)) for sign in (-1, 1)]
        low, high = (np.clip(end, 0, 100) if metric.percent else end for end in ends)
        verdicts = [common_verdict(part) for part in by_depth.values()]
        missing = [point.missing for point in points]
        curves.append(_curve(methods.index(str(method)), by_depth, means, low, high, missing, verdicts))
    guess = metric.factor * runs["chance"].median() if "chance" in runs else math.nan
    limits = [0, 100] if metric.percent else None
    view = _view(f"test {metric.quantity}", "linear", "mean, 95 % interval", None, curves)
    return view | {"limits": limits, "guess": _number(guess)}


def _depth_view(runs: pd.DataFrame, measure: Measure, methods: list[str]) -> Chart:
    curves = []
    for method, group in runs.groupby("method", sort=False):
        column = group[measure.name].where(np.isfinite(group[measure.name])).groupby(group["depth"])
        table = column.quantile([0.25, 0.5, 0.75]).unstack()
        missing = [n_of_m(*pair) for pair in zip(column.count(), column.size(), strict=True)]
        curves.append(_curve(methods.index(str(method)), table.index, table[0.5], table[0.25], table[0.75], missing))
    return _view(f"{measure.label}, last layer", measure.scale, "median, quartiles", None, curves)


def _seconds_view(runs: pd.DataFrame, methods: list[str]) -> Chart:
    curves = []
    for method, group in runs.groupby("method", sort=False):
        column = group.groupby("depth")["seconds"]
        means, missing = column.mean(), [n_of_m(*pair) for pair in zip(column.count(), column.size(), strict=True)]
        curves.append(_curve(methods.index(str(method)), means.index, means, means, means, missing))
    return _view("seconds of a training", "linear", "mean", None, curves)


def _layer_view(report: Report, runs: pd.DataFrame, measure: Measure, depth: int, methods: list[str]) -> Chart:
    curves = []
    for method, group in runs.groupby("method", sort=False):
        band = layer_band(report, group, measure)
        if not len(band.runs):
            continue
        low, middle, high = band.quartiles
        shown = np.unique(np.linspace(0, len(middle) - 1, min(POINTS, len(middle))).round().astype(int))
        missing = [n_of_m(int(n), len(group)) for n in band.runs]
        changes = [missing[k] if not k or missing[k] != missing[k - 1] else "" for k in range(len(missing))]
        parts = ([values[k] for k in shown] for values in (middle, low, high, changes))
        curves.append(_curve(methods.index(str(method)), shown.tolist(), *parts))
    return _view(measure.label, measure.scale, "median, quartiles", depth, curves)


def _view(label: str, scale: str, statistic: str, depth: int | None, curves: list[Chart]) -> Chart:
    return {"label": label, "scale": scale, "statistic": statistic, "depth": depth, "curves": curves}


def _curve(
    method: int,
    x: Iterable[Any],
    y: Iterable[float],
    low: Iterable[float],
    high: Iterable[float],
    missing: Iterable[str],
    verdicts: list[str] | None = None,
) -> Chart:
    values = {name: [_number(value) for value in line] for name, line in (("y", y), ("low", low), ("high", high))}
    curve = {"method": method, "x": [int(value) for value in x], **values, "missing": list(missing)}
    return curve | ({"verdicts": verdicts} if verdicts else {})


def _number(value: float) -> float | None:
    """Rounded to four digits; None for what is not a number, which JSON cannot hold."""
    return float(f"{value:.{DIGITS - 1}e}") if math.isfinite(value) else None

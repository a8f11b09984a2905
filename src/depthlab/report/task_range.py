"""The range of a network: accuracy against the size of a task, sensitivity by hop, and the factor per hop.

For studies of one task in several sizes, such as RingTransfer of 4 to 20 nodes: the distance to the answer and the
depth grow with the size.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from depthlab.config.files import config_file
from depthlab.config.yaml_files import read_mapping
from depthlab.measures.axis import ValueAxis
from depthlab.report.drawing import Band, Missing, band, common_verdict, draw_band, draw_means, grid, legend
from depthlab.report.protocol import by_run, reported
from depthlab.report.runs import Report
from depthlab.report.table import Rows, method_rows, sources, titled
from depthlab.statistics import format_mean, n_of_m, over_runs, paired
from depthlab.study.methods import method_looks
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_figure, for_markdown

SAME = 0.01  # largest difference of equal scores
PARTS = {"train": "training", "test": "test"}
WALKS, WALKS_LOOK = "walks of P alone", ("black", ":")


def is_range_study(runs: pd.DataFrame) -> bool:
    """Whether some task was run in two sizes or more."""
    return "size" in runs and bool((runs.groupby("task")["size"].nunique() > 1).any())


def range_tables(report: Report) -> str:
    """For every task: training and test score by size, published values, gains of rewirings, factors."""
    published = read_mapping(config_file("", "published"))
    parts: list[str] = []
    for task, runs in _tasks(report):
        known = [entry for entry in published["tasks"] if entry["task"] == task]
        metric = METRICS[reported(runs)]
        for part, name in PARTS.items():
            parts += titled(f"## {for_markdown(task)}: {name} {metric.quantity} by size", size_rows(runs, part, known))
        methods = [group for _, group in runs.groupby("method", sort=False)]
        used = [entry for entry in known if any(_matches(entry, method) for method in methods)]
        parts += [sources(used, published)] if used else []
        if "rewiring" in runs:
            parts += titled(
                f"Test {metric.quantity}, difference from the same network without rewiring, paired:", gain_rows(runs)
            )
        parts += titled(
            "Sensitivity: factor per hop, from the node itself to the answer; medians:", factor_rows(report, runs)
        )
    return "\n\n".join(parts) + "\n"


def size_rows(runs: pd.DataFrame, part: str, published: list[dict[str, Any]]) -> Rows:
    """Mean ± half the 95 % interval by method and size; below it the published values; guessing in the last row."""
    sizes, metric, column = sorted(runs["size"].unique()), METRICS[reported(runs)], f"{part}_{reported(runs)}"
    head, *ours = method_rows(runs, lambda some: format_mean(over_runs(by_run(some, column)), metric), axis="size")
    rows = [head]
    for row, (_, group) in zip(ours, runs.groupby("method", sort=False), strict=True):
        rows.append(row)
        for entry in published:
            if column in entry and _matches(entry, group):
                quoted = [str(entry[column].get(int(size), "-")) for size in sizes]
                rows.append([f"*published* [{entry['source']}]", *quoted])
    chance = runs.groupby("size")["chance"].median()
    return [*rows, ["guessing", *(metric.shown(chance[size]).removesuffix(" %") for size in sizes)]]


def _matches(entry: Mapping[str, Any], method: pd.DataFrame) -> bool:
    """Whether a method is the published network: same model, same rewiring, and the overrides of the entry."""
    first = method.iloc[0]
    same = (entry["model"], entry["rewiring"]) == (first["model"], first.get("rewiring", "none"))
    return same and entry["overrides"] in str(first["overrides"]).split()


def gain_rows(runs: pd.DataFrame) -> Rows:
    """Every method with a rewiring against the one with the same other overrides, else the first of its model."""
    sizes, column, metric = sorted(runs["size"].unique()), f"test_{reported(runs)}", METRICS[reported(runs)]
    rows = [["difference", *(f"{size:g}" for size in sizes)]]
    unchanged = runs[runs["rewiring"] == "none"]
    for method, group in runs[runs["rewiring"] != "none"].groupby("method", sort=False):
        alike = unchanged[unchanged["model"] == group["model"].iloc[0]]
        if alike.empty:
            continue
        same = alike[_without_rewiring(alike).isin(_without_rewiring(group).dropna())]
        plain = (alike if same.empty else same)["method"].iloc[0]
        pairs = [paired(*(_by_run(runs, name, size, column) for name in (plain, str(method)))) for size in sizes]
        values = [format_mean(pair, metric, sign=True) for pair in pairs]
        rows.append([for_markdown(f"{method} - {plain}"), *values])
    return rows


def _without_rewiring(runs: pd.DataFrame) -> pd.Series:
    """The overrides of each run except those of its rewiring."""

    def without(overrides: str) -> str:
        return shlex.join(text for text in shlex.split(overrides) if not text.startswith(("rewiring=", "rewiring.")))

    return runs["overrides"].map(without, na_action="ignore")


def factor_rows(report: Report, runs: pd.DataFrame) -> Rows:
    """`(s_R / s_0)^(1/R)` of the measured sensitivity s, and of the weight of walks, by method and size."""

    def factors(part: pd.DataFrame) -> str:
        bands = [hop_band(report, part, name) for name in ("sensitivity", "walk_weight")]
        text = " / ".join(_number(per_hop(curve.quartiles[1], part)) for curve in bands if len(curve.runs))
        missing = n_of_m(min(bands[0].runs, default=0), len(part)) if text else ""
        return f"{text} ({missing})" if missing else text or "-"

    head, *rows = method_rows(runs, factors, "method: measured / walks of P", "size")
    return [head, *(row for row in rows if set(row[1:]) != {"-"})]


def per_hop(curve: np.ndarray[Any, Any], runs: pd.DataFrame) -> float:
    """Geometric mean of the factors from hop 0 to the range of the task."""
    reach = int(runs["task_range"].iloc[0])
    return float((curve[reach] / curve[0]) ** (1 / reach)) if reach < len(curve) and curve[0] else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def hop_band(report: Report, runs: pd.DataFrame, name: str) -> Band:
    """Quartiles of a curve by hop over the runs."""
    return band([report.curves.get((run_id, name), []) for run_id in runs["run_id"].dropna()])


def range_figure(report: Report, width: float | None = None) -> Figure:
    """Training and test score against size, a panel an architecture; the marker is the most frequent verdict.

    Where both scores are the same, within a point, only that of the test is drawn.
    """
    tasks = _tasks(report)
    columns = max(runs["model"].nunique() for _, runs in tasks)
    parts = {task: _parts(runs) for task, runs in tasks}
    lines = sum(map(len, parts.values()))
    figure, panels = grid(lines, columns, (2.6 + 3.1 * columns, 3.3 * lines), width, sharey=True)
    looks, shown, marks = method_looks(report.runs["method"]), dict[str, None](), Missing()
    rows = iter(panels)
    for task, runs in tasks:
        metric = METRICS[reported(runs)]
        chance = metric.factor * runs.groupby("size")["chance"].median()
        for column, name in parts[task].items():
            for axes, model, part in _panels(next(rows), runs, "model"):
                for method, group in part.groupby("method", sort=False):
                    sized = dict(list(group.groupby("size")))
                    points = {size: over_runs(by_run(some, column)) for size, some in sized.items()}
                    verdicts = {size: common_verdict(some) for size, some in sized.items()}
                    draw_means(axes, points, verdicts, looks[str(method)], shown, marks, metric)
                axes.plot(chance.index, chance, ":", color="grey", lw=1.2)
                axes.annotate(
                    "guessing", (chance.index[0], chance.iloc[0]), fontsize="small", color="grey", va="bottom"
                )
                axes.set(
                    title=for_figure(f"{task}: {model}"),
                    xlabel="size",
                    ylim=(0, 103) if metric.percent else None,
                    xticks=sorted(runs["size"].unique()),
                )
                axes.set_ylabel(f"{name} {metric.quantity}")
                axes.grid(alpha=0.25)
    legend(figure, looks, shown, "mean, 95 % interval", marks, width)
    return figure


def _parts(runs: pd.DataFrame) -> dict[str, str]:
    """Columns of the scores to draw, with their names: without the training score if it equals that of the test."""
    named = {f"{part}_{reported(runs)}": name for part, name in PARTS.items()}
    train, test = (runs.groupby(["method", "size"])[column].mean() for column in named)
    if METRICS[reported(runs)].percent and not ((train - test).abs() > SAME).any():
        return {column: f"training and {name}" for column, name in named.items() if column.startswith("test")}
    return named


def sensitivity_figure(report: Report, width: float | None = None) -> Figure:
    """Sensitivity by hop as a share of that at hop 0: a row an architecture, a panel a size, beside the walks of P."""
    rows = [(task, model, part) for task, runs in _tasks(report) for model, part in runs.groupby("model", sort=False)]
    columns = max(part["size"].nunique() for _, _, part in rows)
    figure, drawn = grid(len(rows), columns, (2.5 + 3.2 * columns, 3.1 * len(rows)), width)
    looks, marks = method_looks(report.runs["method"]), Missing()
    for panels, (task, model, runs) in zip(drawn, rows, strict=True):
        for axes, size, part in _panels(panels, runs.sort_values("size", kind="stable"), "size"):
            groups = {str(method): group for method, group in part.groupby("method", sort=False)}
            bands = {method: _shares(hop_band(report, group, "sensitivity")) for method, group in groups.items()}
            plain = part[part["rewiring"] == "none"] if "rewiring" in part else part
            walks = _shares(hop_band(report, plain, "walk_weight"))
            axis = ValueAxis("log", (shares for _, shares, _ in [*bands.values(), walks]))
            for method, (x, shares, curve) in bands.items():
                draw_band(axes, x, shares, looks[method], "", axis)
                marks.mark_changes(axes, curve, axis.place(shares[1]), len(groups[method]), looks[method])
            draw_band(axes, *walks[:2], WALKS_LOOK, "", axis)
            axes.axvline(part["task_range"].iloc[0], color="grey", lw=0.8)
            axes.annotate(
                "answer",
                (part["task_range"].iloc[0], 1),
                xycoords=("data", "axes fraction"),
                fontsize=8,
                color="grey",
                xytext=(-2, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                rotation=90,
            )
            axes.set(title=for_figure(f"{task} {size:g}: {model}"), xlabel="distance in hops")
            axes.set_ylabel("sensitivity, share of that at hop 0")
            axis.finish(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.25)
    legend(figure, {**looks, WALKS: WALKS_LOOK}, {}, "median, quartiles", marks, width)
    return figure


def _tasks(report: Report) -> list[tuple[str, pd.DataFrame]]:
    sized = report.runs.dropna(subset=["size"])
    return [(str(task), runs) for task, runs in sized.groupby("task", sort=False) if runs["size"].nunique() > 1]


def _panels(row: Any, runs: pd.DataFrame, column: str) -> Iterator[tuple[Axes, Any, pd.DataFrame]]:
    """A panel for each value of a column, with its runs; unused panels are switched off."""
    for axes, group in zip_longest(row, runs.groupby(column, sort=False)):
        if group is None:
            axes.set_axis_off()
        else:
            yield axes, *group


def _by_run(runs: pd.DataFrame, method: str, size: float, column: str) -> dict[tuple[int, str], float]:
    return by_run(runs[(runs["method"] == method) & (runs["size"] == size)], column)


def _shares(curve: Band) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Band]:
    """Hops, quartiles as shares of the median at hop 0, and the band; nothing where that median is 0."""
    if not len(curve.runs) or not curve.quartiles[1][0] > 0:
        curve = band([])
        return np.arange(0), curve.quartiles, curve
    return np.arange(len(curve.runs)), curve.quartiles / curve.quartiles[1][0], curve

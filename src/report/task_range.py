"""How far a network hears: accuracy against the size of a task, sensitivity by hop, and the factor per hop.

Of studies whose graphs are one task in several sizes, such as RingTransfer of 4 to 20 nodes: the answer stands farther
away in each, and depth grows with it.
"""

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.config import CONF
from src.report.cells import Report
from src.report.figures import MARKERS, QUARTILES, legend
from src.report.table import Rows, accuracy, by_run, markdown_table
from src.statistics import over_runs, paired
from src.study.lines import line_looks
from src.yaml_files import read_mapping

PARTS = {"train_acc": "training", "test_acc": "test"}
WALKS = "walks of P alone"


def is_range_study(cells: pd.DataFrame) -> bool:
    """Whether some task was run in two sizes or more."""
    return "size" in cells and bool((cells.groupby("task")["size"].nunique() > 1).any())


def range_tables(report: Report) -> str:
    """For every task: training and test accuracy by size, published values, gains over the first line, factors."""
    published = read_mapping(CONF / "published.yaml")
    parts = []
    for task, cells in _tasks(report):
        known = [entry for entry in published["tasks"] if entry["task"] == task]
        for column, name in PARTS.items():
            parts += [f"## {task}: {name} accuracy in % by size", markdown_table(size_rows(cells, column, known))]
        sources = dict.fromkeys(entry["source"] for entry in known if entry["model"] in set(cells["model"]))
        parts += [
            f"- [{s}]: {published['sources'][s]['title']}; {published['sources'][s]['protocol']}." for s in sources
        ]
        if "rewiring" in cells:
            parts += ["Test accuracy beyond the same network on the edges as they are, in points, paired:"]
            parts += [markdown_table(gain_rows(cells))]
        factors = factor_rows(report, cells)
        if len(factors) > 1:
            parts += ["Sensitivity: factor per hop, from the node itself to the answer; medians:"]
            parts += [markdown_table(factors)]
    return "\n\n".join(parts) + "\n"


def size_rows(cells: pd.DataFrame, column: str, published: list[dict[str, Any]]) -> Rows:
    """Mean +- half the 95 % interval by line and size; below a line what is published for it; guessing at the end."""
    sizes = sorted(cells["size"].unique())
    rows = [["line", *(f"{size:g}" for size in sizes)]]
    for line, group in cells.groupby("line", sort=False):
        rows.append([str(line), *(_score(group[group["size"] == size], column) for size in sizes)])
        own = group["rewiring"].iloc[0] if "rewiring" in group else "none"
        for entry in published:
            if (entry["model"], entry["rewiring"]) == (group["model"].iloc[0], own) and column in entry:
                quoted = [str(entry[column].get(int(size), "-")) for size in sizes]
                rows.append([f"*published* [{entry['source']}]", *quoted])
    chance = cells.groupby("size")["chance"].median()
    return [*rows, ["guessing", *(f"{100 * chance[size]:.1f}" for size in sizes)]]


def gain_rows(cells: pd.DataFrame) -> Rows:
    """Every line with a rewiring against the one without that is typed alike otherwise, else the first of its model."""
    sizes = sorted(cells["size"].unique())
    rows = [["difference", *(f"{size:g}" for size in sizes)]]
    unchanged = cells[cells["rewiring"] == "none"]
    for line, group in cells[cells["rewiring"] != "none"].groupby("line", sort=False):
        alike = unchanged[unchanged["model"] == group["model"].iloc[0]]
        if alike.empty:
            continue
        same = alike[_without_rewiring(alike).isin(_without_rewiring(group).dropna())]
        plain = (alike if same.empty else same)["line"].iloc[0]
        pairs = [paired(*(_by_run(cells, name, size, "test_acc") for name in (plain, str(line)))) for size in sizes]
        rows.append([f"{line} - {plain}", *(accuracy(pair, sign=True) if pair else "-" for pair in pairs)])
    return rows


def _without_rewiring(cells: pd.DataFrame) -> pd.Series:
    """What was typed for each cell but for its rewiring."""
    return cells["typed"].str.replace(r"\brewiring\b\S*", "", regex=True).str.split().str.join(" ")


def factor_rows(report: Report, cells: pd.DataFrame) -> Rows:
    """`(s_R / s_0)^(1/R)` of the measured sensitivity s by line and size, and of the weight of walks of that depth."""
    sizes = sorted(cells["size"].unique())
    rows = [["line: measured / walks of P", *(f"{size:g}" for size in sizes)]]
    for line, group in cells.groupby("line", sort=False):
        found = []
        for size in sizes:
            part = group[group["size"] == size]
            curves = [hop_quartiles(report, part, name) for name in ("sensitivity_by_hop", "walk_weight_by_hop")]
            found.append(" / ".join(_number(per_hop(curve[1], part)) for curve in curves if curve is not None) or "-")
        if set(found) != {"-"}:
            rows.append([str(line), *found])
    return rows


def per_hop(curve: np.ndarray[Any, Any], cells: pd.DataFrame) -> float:
    """Geometric mean of the factors from hop 0 to the range of the task."""
    reach = int(cells["task_range"].iloc[0])
    return float((curve[reach] / curve[0]) ** (1 / reach)) if reach < len(curve) and curve[0] else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def hop_quartiles(report: Report, cells: pd.DataFrame, name: str) -> np.ndarray[Any, Any] | None:
    """Quartiles (3, hops) of a curve by hop over the cells; None if there is none."""
    found = [curve for run_id in cells["run_id"].dropna() if (curve := report.by_hop.get((run_id, name)))]
    return np.quantile(np.array(found), QUARTILES, axis=0) if found else None


def range_figure(report: Report) -> Figure:
    """Training and test accuracy against size, a panel an architecture; the marker is the most frequent verdict."""
    tasks = _tasks(report)
    columns = max(cells["model"].nunique() for _, cells in tasks)
    figure = Figure(figsize=(2.6 + 3.1 * columns, 6.6 * len(tasks)), layout="constrained")
    looks, seen = line_looks(report.cells["line"]), dict[str, None]()
    rows = iter(figure.subplots(2 * len(tasks), columns, squeeze=False, sharey=True))
    for task, cells in tasks:
        chance = 100 * cells.groupby("size")["chance"].median()
        for column, name in PARTS.items():
            for axes, model, part in _panels(next(rows), cells, "model"):
                for line, group in part.groupby("line", sort=False):
                    _accuracy_line(axes, group.dropna(subset=[column]), column, looks[str(line)], seen)
                axes.plot(chance.index, chance, ":", color="grey", lw=1.2)
                axes.annotate("guessing", (chance.index[0], chance.iloc[0]), fontsize=9, color="grey", va="bottom")
                axes.set(title=f"{task}: {model}", xlabel="size", ylim=(0, 103), xticks=sorted(cells["size"].unique()))
                axes.set_ylabel(f"{name} accuracy, %")
                axes.grid(alpha=0.25)
    legend(figure, looks, seen, "mean, 95 % interval")
    return figure


def sensitivity_figure(report: Report) -> Figure:
    """Sensitivity by hop as a share of that at hop 0: a row an architecture, a panel a size, beside the walks of P."""
    rows = [(task, model, part) for task, cells in _tasks(report) for model, part in cells.groupby("model", sort=False)]
    columns = max(part["size"].nunique() for _, _, part in rows)
    figure = Figure(figsize=(2.5 + 3.2 * columns, 3.1 * len(rows)), layout="constrained")
    looks = line_looks(report.cells["line"])
    for panels, (task, model, cells) in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for axes, size, part in _panels(panels, cells.sort_values("size", kind="stable"), "size"):
            for line, group in part.groupby("line", sort=False):
                _hop_line(axes, hop_quartiles(report, group, "sensitivity_by_hop"), *looks[str(line)])
            plain = part[part["rewiring"] == "none"] if "rewiring" in part else part
            _hop_line(axes, hop_quartiles(report, plain, "walk_weight_by_hop"), "black", ":")
            axes.axvline(part["task_range"].iloc[0], color="grey", lw=0.8)
            axes.set(title=f"{task} {size:g}: {model}", xlabel="hop", ylabel="of that at hop 0", yscale="log")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.25)
    legend(figure, {**looks, WALKS: ("black", ":")}, {}, "median, quartiles")
    return figure


def _tasks(report: Report) -> list[tuple[str, pd.DataFrame]]:
    sized = report.cells.dropna(subset=["size"])
    return [(str(task), cells) for task, cells in sized.groupby("task", sort=False) if cells["size"].nunique() > 1]


def _panels(row: Any, cells: pd.DataFrame, column: str) -> Iterator[tuple[Axes, Any, pd.DataFrame]]:
    """A panel for each value of a column, with its cells; panels that are left over are taken off the figure."""
    for axes, found in zip_longest(row, cells.groupby(column, sort=False)):
        if found is None:
            axes.set_axis_off()
        else:
            yield axes, *found


def _by_run(cells: pd.DataFrame, line: str, size: float, column: str) -> dict[tuple[int, str], float]:
    part = cells[(cells["line"] == line) & (cells["size"] == size)].dropna(subset=[column])
    return by_run(part, column)


def _score(cells: pd.DataFrame, column: str) -> str:
    values = by_run(cells.dropna(subset=[column]), column)
    return accuracy(over_runs(values)) if values else "-"


def _accuracy_line(axes: Axes, cells: pd.DataFrame, column: str, look: tuple[str, str], seen: dict[str, None]) -> None:
    color, dash = look
    points = {size: over_runs(by_run(part, column)) for size, part in cells.groupby("size")}
    means = [100 * point.mean for point in points.values()]
    halves = [100 * point.half if point.n > 2 else 0.0 for point in points.values()]
    axes.plot(list(points), means, dash, color=color, lw=1.6)
    low, high = (np.clip(np.add(means, [sign * half for half in halves]), 0, 100) for sign in (-1, 1))
    axes.fill_between(list(points), low, high, color=color, alpha=0.12, lw=0)
    for (size, part), mean in zip(cells.groupby("size"), means, strict=True):
        verdict = part["verdict"].mode().iloc[0]
        axes.plot(size, mean, MARKERS.get(verdict, "P"), color=color, ms=7, mec="white", mew=0.7)
        seen.setdefault(verdict)


def _hop_line(axes: Axes, quartiles: np.ndarray[Any, Any] | None, color: str, dash: str) -> None:
    if quartiles is None or not quartiles[1][0] > 0:
        return
    low, middle, high = np.where(quartiles > 0, quartiles, np.nan) / quartiles[1][0]
    hops = np.arange(len(middle))
    axes.plot(hops, middle, dash, color=color, lw=1.6)
    axes.fill_between(hops, low, high, color=color, alpha=0.12, lw=0)

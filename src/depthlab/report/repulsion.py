"""Scores against repulsion, and the best repulsion against homophily."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from depthlab.measures.diagnosis import shown
from depthlab.report.drawing import Missing, grid
from depthlab.report.protocol import by_run, reported
from depthlab.report.runs import Report
from depthlab.statistics import over_runs, paired
from depthlab.study.methods import method_looks
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_figure

Scores = dict[tuple[int, str], float]
GENERATED = "csbm"  # graphs of this name differ in homophily alone: their points are joined


def is_repulsion_study(runs: pd.DataFrame) -> bool:
    """Whether the runs of a graph differ in repulsion, seed and split alone, with three repulsions or more."""
    if "repulsion" not in runs or runs["repulsion"].nunique() < 3:
        return False
    return not runs.duplicated(["dataset", "repulsion", "seed", "split"]).any()


def best_repulsion(runs: pd.DataFrame) -> pd.DataFrame:
    """For every graph the repulsion with the best mean validation score, and its test score.

    A repulsion with a missing run is not chosen.

    Args:
        runs: of a study whose methods differ in `repulsion`.

    Returns:
        One row a graph that has such a repulsion: dataset, homophily, best, `ties`: the repulsions that are not worse
        than the best by a paired 95 % interval, and val, test, test_without (repulsion 0; NaN if it was not run), all
        means over runs.
    """
    rows = []
    for dataset, group in runs.groupby("dataset", sort=False):
        name = reported(group)
        complete = group[~group.groupby("repulsion")[f"val_{name}"].transform(lambda values: values.isna().any())]
        if complete.empty:
            continue
        sign = 1 if METRICS[name].higher_is_better else -1
        val = {beta: by_run(part, f"val_{name}") for beta, part in complete.groupby("repulsion")}
        test = {beta: part[f"test_{name}"].mean() for beta, part in complete.groupby("repulsion")}
        best = max(val, key=lambda beta: sign * over_runs(val[beta]).mean)
        rows.append(
            {
                "dataset": dataset,
                "homophily": complete["homophily"].median(),
                "best": best,
                "ties": [beta for beta in val if beta == best or _as_good(val[best], val[beta], sign)],
                "val": over_runs(val[best]).mean,
                "test": test[best],
                "test_without": test.get(0.0, np.nan),
            }
        )
    return pd.DataFrame(rows, columns=["dataset", "homophily", "best", "ties", "val", "test", "test_without"])


def repulsion_figure(report: Report, width: float | None = None) -> Figure:
    """Left: mean validation score against repulsion, one curve a graph. Right: the best repulsion against homophily."""
    runs, marks = report.runs, Missing()
    best = best_repulsion(report.runs)
    figure, panels = grid(1, 2, (12.5, 4.6), width)
    left, right = panels.flat
    homophily = runs.groupby("dataset")["homophily"].median().sort_values()
    looks = method_looks(homophily.index)
    for dataset, (color, dash) in looks.items():
        group = runs[runs["dataset"] == dataset]
        column, factor = f"val_{reported(group)}", METRICS[reported(group)].factor
        points = {beta: over_runs(by_run(part, column)) for beta, part in group.groupby("repulsion")}
        known = [(b, factor * s.mean, factor * s.half if s.has_interval else 0) for b, s in points.items() if s.n]
        x, means, halves = np.array(known).reshape(-1, 3).T
        name = for_figure(f"{dataset} (homophily {shown(homophily[dataset], '.2f')})")
        left.plot(x, means, color=color, ls=dash, marker="o", label=name)
        every = list(points.values())
        present, asked = [s.runs for s in every], [s.asked for s in every]
        marks.mark(left, points, [factor * s.mean for s in every], present, asked, (color, dash))
        left.fill_between(x, means - halves, means + halves, color=color, alpha=0.12, lw=0)
    quantities = {METRICS[reported(group)].quantity for _, group in runs.groupby("dataset")}
    left.set(xlabel="repulsion", ylabel=f"validation {quantities.pop() if len(quantities) == 1 else 'score'}")
    generated = best[best["dataset"].str.startswith(GENERATED)].sort_values("homophily")
    right.plot(generated["homophily"], generated["best"], "-", color="grey", lw=1.2)
    for _, row in best.iterrows():
        color, _dash = looks[row["dataset"]]
        right.plot([row["homophily"]] * 2, [min(row["ties"]), max(row["ties"])], "-", color=color, lw=3, alpha=0.3)
        right.plot(row["homophily"], row["best"], "o", color=color)
        if not row["dataset"].startswith(GENERATED):
            right.annotate(
                for_figure(row["dataset"]), (row["homophily"], row["best"]), xytext=(6, 6), textcoords="offset points"
            )
    right.set(xlabel="edge homophily, measured", ylabel="best repulsion on validation data", xlim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.25)
    title = "mean, 95 % interval"
    if marks.any:
        groups = [group for _, group in runs.groupby("dataset")]
        left_out = sum(g[f"val_{reported(g)}"].isna().groupby(g["repulsion"]).any().sum() for g in groups)
        title += f"\n{marks.NOTE}\nnot chosen with a run missing: {left_out}"
    place = "outside right upper" if width is None else "outside lower center"
    figure.legend(loc=place, title=title, alignment="left")
    return figure


def _as_good(best: Scores, other: Scores, sign: int) -> bool:
    """Whether the other is not seen to be worse; sign -1: higher is worse."""
    difference = paired(best, other)
    return difference.has_interval and (difference.high >= 0 if sign > 0 else difference.low <= 0)

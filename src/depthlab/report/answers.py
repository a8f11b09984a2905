"""What came out of a study, in sentences."""

from itertools import groupby

import pandas as pd

from depthlab.report.drawing import common_verdict
from depthlab.report.protocol import reported
from depthlab.report.question import depths_of, layers
from depthlab.report.table import scores
from depthlab.statistics import format_mean, over_runs
from depthlab.tasks.metrics import METRICS


def answers(runs: pd.DataFrame) -> list[str]:
    """For the runs of one dataset: the highest mean score, the score of guessing, and a sentence for each method."""
    metric = METRICS[reported(runs)]
    better = max if metric.higher_is_better else min
    parts = dict(list(runs.groupby(["method", "depth"], sort=False)))
    points = {key: over_runs(scores(part, key[1])) for key, part in parts.items()}
    known = {key: point for key, point in points.items() if point.n}
    sentences = []
    if known:
        method, depth = better(known, key=lambda key: known[key].mean)
        best = format_mean(known[method, depth], metric, unit=True)
        word = "Highest" if metric.higher_is_better else "Lowest"
        sentences.append(f"{word} mean test {metric.label}: {best}, {method} with {layers(depth)}.{guessing(runs)}")
    for method, group in runs.groupby("method", sort=False):
        depths = sorted(group["depth"].unique())
        spans = []
        for verdict, span in groupby(depths, key=lambda depth: common_verdict(group[group["depth"] == depth])):
            some = list(span)
            means = [points[method, depth] for depth in (some[0], some[-1])]
            shown = [metric.shown(point.mean).removesuffix(metric.unit) for point in means if point.n]
            score = f" ({' to '.join(dict.fromkeys(shown))}{metric.unit})" if shown else ""
            name = "without a result" if verdict == "unknown" and not shown else verdict
            spans.append(f"{name} {depths_of(some)}{score}")
        sentences.append(f"{method}: {', '.join(spans)}.")
    return sentences


def guessing(runs: pd.DataFrame) -> str:
    """` Guessing scores 14.3 % on the training nodes, 31.9 % on the test nodes.`; empty if it is not recorded."""
    metric = METRICS[reported(runs)]
    parts = [
        f"{metric.shown(runs[column].median())} on the {name} nodes"
        for column, name in (("chance", "training"), ("chance_test", "test"))
        if column in runs and runs[column].notna().any()
    ]
    return f" The best guess that ignores the input scores {' and '.join(parts)}." if parts else ""

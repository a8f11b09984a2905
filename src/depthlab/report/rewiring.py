"""Compares every rewiring with the original edges and with random edges."""

import pandas as pd

from depthlab.report.protocol import by_run, reported
from depthlab.report.table import Rows, markdown_table
from depthlab.statistics import format_mean, over_runs, paired
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_markdown

CONTROL = "random"


def has_rewirings(runs: pd.DataFrame) -> bool:
    """Whether some methods are rewired and some are not."""
    return "rewiring" in runs and runs["rewiring"].nunique() > 1


def rewiring_tables(runs: pd.DataFrame) -> str:
    """The table of every dataset."""
    parts = [
        f"## {for_markdown(str(dataset))}: rewirings, test score and paired differences in %\n\n"
        + markdown_table(rewiring_rows(group))
        for dataset, group in runs.groupby("dataset", sort=False)
    ]
    return "\n\n".join(parts)


def rewiring_rows(runs: pd.DataFrame) -> Rows:
    """Test score of every method, and its difference from its model without rewiring and with random edges.

    Differences are paired by seed and split. A method of several depths has a row for each.

    Args:
        runs: of one dataset.
    """
    name = reported(runs)
    rows = [["method", "depth", f"test {METRICS[name].label}", "- none", f"- {CONTROL} edges"]]
    for (method, depth), group in runs.groupby(["method", "depth"], sort=False):
        alike = runs[runs["model"] == group["model"].iloc[0]]
        values = by_run(group, f"test_{name}")
        rewired = group["rewiring"].iloc[0]
        others = [_difference(values, alike, base, int(depth), name, rewired) for base in ("none", CONTROL)]
        rows.append([for_markdown(str(method)), str(depth), format_mean(over_runs(values), METRICS[name]), *others])
    return rows


def _difference(
    values: dict[tuple[int, str], float], alike: pd.DataFrame, base: str, depth: int, name: str, own: str
) -> str:
    """Difference from the method with the rewiring `base`, at the same depth or at its only one; `-` for itself."""
    methods = alike[alike["rewiring"] == base]
    if methods.empty or own in (base, "none"):
        return "-"
    first = methods[methods["method"] == methods["method"].iloc[0]]
    same = first[first["depth"] == depth]
    if same.empty and first["depth"].nunique() > 1:
        return "-"
    base_values = by_run(first if same.empty else same, f"test_{name}")
    return format_mean(paired(base_values, values), METRICS[name], sign=True)

"""Did a rewiring help, and more than random edges do? One line each, whatever depth it was tuned to."""

import pandas as pd

from depthlab.report.table import Rows, by_run, markdown_table, reported
from depthlab.statistics import format_mean, over_runs, paired
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_markdown

CONTROL = "random"


def has_rewirings(cells: pd.DataFrame) -> bool:
    """Whether some line of the cells propagates over other edges than the data's, and some does not."""
    return "rewiring" in cells and cells["rewiring"].nunique() > 1


def rewiring_tables(cells: pd.DataFrame) -> str:
    """The table of every dataset."""
    parts = [
        f"## {for_markdown(str(dataset))}: rewirings, test score and paired differences in %\n\n"
        + markdown_table(rewiring_rows(group))
        for dataset, group in cells.groupby("dataset", sort=False)
    ]
    return "\n\n".join(parts)


def rewiring_rows(cells: pd.DataFrame) -> Rows:
    """Test score of every line; against the first line of its model without a rewiring, and against random edges.

    Differences are paired by seed and split. A line of several depths has a row for each.

    Args:
        cells: of one dataset.
    """
    name = reported(cells)
    rows = [["line", "depth", f"test {METRICS[name].label}", "- none", f"- {CONTROL} edges"]]
    for (line, depth), group in cells.groupby(["line", "depth"], sort=False):
        alike = cells[cells["model"] == group["model"].iloc[0]]
        values = by_run(group, f"test_{name}")
        rewired = group["rewiring"].iloc[0]
        others = [_difference(values, alike, base, int(depth), name, rewired) for base in ("none", CONTROL)]
        rows.append([for_markdown(str(line)), str(depth), format_mean(over_runs(values), METRICS[name]), *others])
    return rows


def _difference(
    values: dict[tuple[int, str], float], alike: pd.DataFrame, base: str, depth: int, name: str, own: str
) -> str:
    """Against the line of that rewiring at the same depth, or at its only one; `-` for itself."""
    lines = alike[alike["rewiring"] == base]
    if lines.empty or own in (base, "none"):
        return "-"
    first = lines[lines["line"] == lines["line"].iloc[0]]
    same = first[first["depth"] == depth]
    if same.empty and first["depth"].nunique() > 1:
        return "-"
    base_values = by_run(first if same.empty else same, f"test_{name}")
    return format_mean(paired(base_values, values), METRICS[name], sign=True)

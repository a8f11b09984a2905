r"""The tables of scores for LaTeX, with booktabs.

The best mean of a column is bold only if it differs from every other method of the column: paired t-tests over the
seeds and splits that two methods share, with Holm's correction for all comparisons of the table.
"""

import pandas as pd

from depthlab.report.protocol import reported
from depthlab.report.table import scores
from depthlab.statistics import format_mean, holm, over_runs, paired_p
from depthlab.tasks.metrics import METRICS

LEVEL = 0.05
SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        **{char: f"\\{char}" for char in "&%$#_{}"},
    }
)  # fmt: skip


def latex(runs: pd.DataFrame) -> str:
    r"""One table a dataset; needs `\usepackage{booktabs}`."""
    head = "% Tables of depthlab: \\usepackage{booktabs}\n"
    return head + "\n".join(table(str(dataset), group) for dataset, group in runs.groupby("dataset", sort=False))


def table(dataset: str, runs: pd.DataFrame) -> str:
    """The table of one dataset: a row for each method and a column for each depth."""
    metric = METRICS[reported(runs)]
    depths = [int(depth) for depth in sorted(runs["depth"].unique())]
    groups = {str(method): group for method, group in runs.groupby("method", sort=False)}
    bold = best(runs)
    rows = []
    for method, group in groups.items():
        cells = []
        for depth in depths:
            text = format_mean(over_runs(scores(group, depth)), metric)
            number = text.replace(" ± ", r" \pm ")
            number = rf"\mathbf{{{number}}}" if (method, depth) in bold else number
            cells.append("--" if text == "-" else f"${number}$")
        rows.append(f"{method.translate(SPECIAL)} & {' & '.join(cells)} \\\\")
    caption = (
        f"{dataset}: test {metric.quantity}, mean $\\pm$ half the 95\\,\\% interval where there are three runs or more."
        f" Bold: better than every other method at this depth (paired $t$-tests, Holm, $p < {LEVEL}$)."
    )
    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{_caption(caption, dataset, metric.quantity)}}}",
        f"  \\begin{{tabular}}{{l{'r' * len(depths)}}}",
        r"    \toprule",
        f"    & \\multicolumn{{{len(depths)}}}{{c}}{{depth}} \\\\",
        f"    \\cmidrule(l){{2-{len(depths) + 1}}}",
        f"    method & {' & '.join(map(str, depths))} \\\\",
        r"    \midrule",
        *(f"    {row}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(text: str, *escaped: str) -> str:
    for part in escaped:
        text = text.replace(part, part.translate(SPECIAL), 1)
    return text


def best(runs: pd.DataFrame) -> set[tuple[str, int]]:
    """Method and depth of the means that differ significantly from all others of their column."""
    metric = METRICS[reported(runs)]
    sign = 1 if metric.higher_is_better else -1
    tests: list[tuple[tuple[str, int], float]] = []
    for depth in sorted(int(depth) for depth in runs["depth"].unique()):
        values = {str(method): scores(group, depth) for method, group in runs.groupby("method", sort=False)}
        known = {method: found for method, found in values.items() if over_runs(found).n}
        if len(known) < 2:
            continue
        top = max(known, key=lambda method: sign * over_runs(known[method]).mean)
        tests += [((top, depth), paired_p(known[other], known[top])) for other in known if other != top]
    adjusted = holm([p for _, p in tests])
    lost = {key for (key, _), p in zip(tests, adjusted, strict=True) if not p < LEVEL}
    return {key for key, _ in tests} - lost

"""The Markdown tables of a study: one row a method, one column a depth, published values beside ours."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from depthlab.config.files import config_file
from depthlab.config.yaml_files import read_mapping
from depthlab.report.protocol import by_run, changes, protocol, reported
from depthlab.report.runs import measured
from depthlab.statistics import counted, format_mean, n_of_m, over_runs, paired, summarize
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_markdown

Rows = list[list[str]]


def markdown(runs: pd.DataFrame, first: str = "") -> str:
    """All tables of a study, one section a dataset, after those that come `first`."""
    published = read_mapping(config_file("", "published"))
    parts = [f"# Study {for_markdown(runs['study'].iloc[0])}", first]
    for dataset, group in runs.groupby("dataset", sort=False):
        entries = [entry for entry in published["entries"] if entry["dataset"] == dataset and _matches(entry, group)]
        metric, deeper = METRICS[reported(group)], depth_rows(group)
        unit = " in points" if metric.percent else ""
        parts += [
            f"## {for_markdown(str(dataset))}",
            for_markdown(protocol(group)),
            *titled(f"Test {metric.quantity}:", score_rows(group, entries)),
            sources(entries, published),
            *titled(f"Differences{unit}, paired by seed and split:", difference_rows(group)),
            *titled(f"Beyond {deeper[0][0]}{unit and f',{unit}'}, paired by seed and split:", deeper),
            *titled("Verdicts:", method_rows(group, lambda part: counted(verdicts(part)))),
            *titled("State after the last layer, medians:", state_rows(group)),
            *titled("Seconds of a training, mean:", method_rows(group, seconds)),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def method_rows(
    runs: pd.DataFrame, value: Callable[[pd.DataFrame], str], head: str = "method", axis: str = "depth"
) -> Rows:
    """One row a method, one column a value of `axis`.

    Args:
        value: text of the method's runs at one value of the axis.
        head: title of the column of methods.
    """
    columns = sorted(runs[axis].unique())
    rows = [[head, *(f"{column:g}" for column in columns)]]
    for method, group in runs.groupby("method", sort=False):
        rows.append([for_markdown(str(method)), *(value(group[group[axis] == column]) for column in columns)])
    return rows


def score_rows(runs: pd.DataFrame, entries: list[dict[str, Any]]) -> Rows:
    """Mean ± half the 95 % interval by method and depth; below a method its published values."""
    depths = sorted(runs["depth"].unique())
    tuned = any("best" in entry for entry in entries)
    head, *ours = method_rows(runs, score)
    rows = [head + ["published, depth tuned"] * tuned]
    for row, (_, group) in zip(ours, runs.groupby("method", sort=False), strict=True):
        entry = next((entry for entry in entries if _matches(entry, group)), {})
        rows.append(row + [str(entry.get("best", "-"))] * tuned)
        if "values" in entry:
            quoted = [str(entry["values"].get(int(depth), "-")) for depth in depths]
            rows.append([f"*published* [{entry['source']}]", *quoted, *["-"] * tuned])
    return rows


def difference_rows(runs: pd.DataFrame) -> Rows:
    """Every method against the first method of the same model, and that against the first method of all."""
    depths = sorted(runs["depth"].unique())
    groups = {str(method): group for method, group in runs.groupby("method", sort=False)}
    models = {method: group["model"].iloc[0] for method, group in groups.items()}
    rows = [["difference", *map(str, depths)]]
    for method, group in groups.items():
        alike = next((name for name in groups if models[name] == models[method]), method)  # without runs, no model
        base = alike if alike != method else next(iter(groups))
        if base != method:
            pairs = [(groups[base], group, depth, depth) for depth in depths]
            rows.append([for_markdown(f"{method} - {base}"), *(_difference(*pair) for pair in pairs)])
    return rows


def depth_rows(runs: pd.DataFrame) -> Rows:
    """What each depth gains or loses against the shallowest one of the study."""
    first, *deeper = sorted(runs["depth"].unique())
    rows = [[f"{first} layers", *map(str, deeper)]]
    for method, group in runs.groupby("method", sort=False):
        rows.append([for_markdown(str(method)), *(_difference(group, group, first, depth) for depth in deeper)])
    return rows


def _difference(first: pd.DataFrame, second: pd.DataFrame, first_depth: int, second_depth: int) -> str:
    """Mean paired difference of the test scores of two methods or depths."""
    pair = paired(scores(first, first_depth), scores(second, second_depth))
    return format_mean(pair, METRICS[reported(second)], sign=True)


def seconds(runs: pd.DataFrame) -> str:
    """Mean seconds spent in epochs; of less than one second the first digit, since 0 would be wrong."""
    summary = summarize(runs["seconds"].tolist())
    mean = "-" if not summary.n else f"{summary.mean:.0f}" if summary.mean >= 1 else f"{summary.mean:.1g}"
    return f"{mean} ({summary.missing})" if summary.missing else mean


def state_rows(runs: pd.DataFrame) -> Rows:
    """The measures of the last state that some of these runs have; no rows without any."""
    measures = [measure for measure in measured(runs) if runs[measure.name].notna().any()]
    head = f"method: {' / '.join(for_markdown(measure.label) for measure in measures)}"
    names = [measure.name for measure in measures]
    return method_rows(runs, lambda part: medians(part[names]), head) if names else []


def medians(runs: pd.DataFrame) -> str:
    """The median of each column, such as `0.5 / 0.25 / 3 (2 of 3)`; `-` for a column without values.

    If the columns have different numbers of values, each median has its own count.
    """
    counts = [n_of_m(int(runs[name].notna().sum()), len(runs)) for name in runs]
    if runs.isna().all(axis=None):
        return f"- ({counts[0]})" if counts[0] else "-"
    values = [f"{runs[name].median():.2g}" if runs[name].notna().any() else "-" for name in runs]
    if len(set(counts)) > 1:
        return " / ".join(f"{value} ({count})" if count else value for value, count in zip(values, counts, strict=True))
    return " / ".join(values) + (f" ({counts[0]})" if counts[0] else "")


def scores(runs: pd.DataFrame, depth: int) -> dict[tuple[int, str], float]:
    """(seed, split) -> test score of the runs at this depth; NaN of those without one."""
    return by_run(runs[runs["depth"] == depth], f"test_{reported(runs)}")


def score(runs: pd.DataFrame) -> str:
    """`81.9 ± 0.2`, with the number of runs that have a score where some lack one; `-` where none has."""
    return format_mean(over_runs(by_run(runs, f"test_{reported(runs)}")), METRICS[reported(runs)])


def verdicts(runs: pd.DataFrame) -> list[str]:
    """The verdict of each run, or its outcome where it has none."""
    return [v if isinstance(v, str) else o for v, o in zip(runs["verdict"], runs["outcome"], strict=True)]


def titled(title: str, rows: Rows) -> list[str]:
    """Title and Markdown table; nothing for a table without values. The first row is the header."""
    return [title, markdown_table(rows)] if len(rows) > 1 and len(rows[0]) > 1 else []


def markdown_table(rows: Rows) -> str:
    """A Markdown table; the first row is the header. Text from the user must be escaped before."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def sources(entries: Iterable[Mapping[str, Any]], published: Mapping[str, Any]) -> str:
    """The sources of published values, one a line."""
    known = published["sources"]
    used = dict.fromkeys(entry["source"] for entry in entries)
    return "\n".join(f"- [{name}]: {known[name]['title']}; {known[name]['protocol']}." for name in used)


def _matches(entry: Mapping[str, Any], runs: pd.DataFrame) -> bool:
    """Whether some of the runs are of the entry's kind: same model, edges dropped or not, nothing else changed."""
    same = (runs["model"] == entry["model"]) & ((runs["p_drop"] > 0) == entry["drop_edge"])
    unchanged = any(not changes(overrides) for overrides in runs[same]["overrides"].dropna())
    return unchanged and not runs["split"].str.startswith("random").any()

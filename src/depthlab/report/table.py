"""The Markdown tables of a study: one row a method, one column a depth, published values beside ours."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from depthlab.config.files import config_file
from depthlab.config.yaml_files import read_mapping
from depthlab.report.runs import measured
from depthlab.statistics import counted, format_mean, n_of_m, over_runs, paired, summarize
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_markdown

Rows = list[list[str]]
DIFFER = "settings that differ by depth (overrides, in runs.csv)"
# overrides that the tables show already
SHOWN = ("dataset", "model", "depth", "seed", "split", "split_seed", "p_drop", "recipe", "none")


def markdown(runs: pd.DataFrame, first: str = "") -> str:
    """All tables of a study, one section a dataset, after those that come `first`."""
    published = read_mapping(config_file("", "published"))
    parts = [f"# Study {for_markdown(runs['study'].iloc[0])}", first]
    for dataset, group in runs.groupby("dataset", sort=False):
        entries = [entry for entry in published["entries"] if entry["dataset"] == dataset and _matches(entry, group)]
        metric, measures, deeper = METRICS[reported(group)], measured(group), depth_rows(group)
        unit = " in points" if metric.percent else ""
        states = f"method: {' / '.join(for_markdown(measure.label) for measure in measures)}"
        parts += [
            f"## {for_markdown(str(dataset))}",
            for_markdown(protocol(group)),
            *titled(f"Test {metric.quantity}:", score_rows(group, entries)),
            sources(entries, published),
            *titled(f"Differences{unit}, paired by seed and split:", difference_rows(group)),
            *titled(f"Beyond {deeper[0][0]}{unit and f',{unit}'}, paired by seed and split:", deeper),
            *titled("Verdicts:", method_rows(group, lambda part: counted(verdicts(part)))),
            *(titled("State after the last layer, medians:", method_rows(group, medians, states)) if measures else []),
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


def medians(runs: pd.DataFrame) -> str:
    """The measures of the last state, `0.5 / 0.25 / 3 (2 of 3)`; each has its own count if these differ."""
    runs = runs[[measure.name for measure in measured(runs)]]
    counts = [n_of_m(int(runs[name].notna().sum()), len(runs)) for name in runs]
    if runs.isna().all(axis=None):
        return f"- ({counts[0]})" if counts[0] else "-"
    values = [f"{runs[name].median():.2g}" for name in runs]
    if len(set(counts)) > 1:
        return " / ".join(f"{value} ({count})" if count else value for value, count in zip(values, counts, strict=True))
    return " / ".join(values) + (f" ({counts[0]})" if counts[0] else "")


def reported(runs: pd.DataFrame) -> str:
    """Name of the metric that the runs of one dataset are measured by; accuracy where none has run."""
    return str(next(iter(runs["metric"].dropna()), "acc"))


def scores(runs: pd.DataFrame, depth: int) -> dict[tuple[int, str], float]:
    """(seed, split) -> test score of the runs at this depth; NaN of those without one."""
    return by_run(runs[runs["depth"] == depth], f"test_{reported(runs)}")


def by_run(runs: pd.DataFrame, column: str) -> dict[tuple[int, str], float]:
    """(seed, split) -> value of the column."""
    return dict(zip(zip(runs["seed"], runs["split"], strict=True), runs[column], strict=True))


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


def protocol(runs: pd.DataFrame) -> str:
    """How many runs there are and how they were made, in a few sentences."""
    seeds, splits = sorted(runs["seed"].unique()), list(runs["split"].unique())
    runs_text = _range(seeds)
    fewer = {depth: own for depth, own in runs.groupby("depth")["seed"].unique().items() if len(own) < len(seeds)}
    runs_text += "".join(f" ({_range(sorted(own))} at depth {depth})" for depth, own in fewer.items())
    runs_text += f", {len(splits)} splits" if len(splits) > 1 else f", split {splits[0]}"
    other = runs[~runs["outcome"].isin(["finished"])]["outcome"].value_counts()
    ended = "".join(f", {count} {outcome}" for outcome, count in other.items())
    over = "splits (each the mean of its seeds)" if len(splits) > 1 and len(seeds) > 1 else "runs"
    code = (runs.groupby("method")["code_hash"].nunique() > 1).any()
    return (
        f"{len(runs)} runs, {(runs['outcome'] == 'finished').sum()} finished{ended}; {runs_text}. Mean ± half the 95 %"
        f" t-interval over {over}. The tested state is the one that is best on {_monitored(runs)} data; the test set"
        " is read once. Settings: "
        f"{_recipes(runs)}. {_by_depth(runs)}"
        + (" Not all runs of a method are of the same code: see code_hash." if code else "")
        + " All runs: runs.csv."
    )


def _range(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def _monitored(runs: pd.DataFrame) -> str:
    """`validation`, but for tasks whose protocol selects by a training score."""
    kinds = {"training" if " monitor=train_" in f" {words}" else "validation" for words in runs["overrides"].dropna()}
    return " or ".join(sorted(kinds, reverse=True)) or "validation"


def _recipes(runs: pd.DataFrame) -> str:
    """`GCN: published/cora-gcn; residual GCN: defaults with epochs=60`."""
    recipes = []
    for method, group in runs.groupby("method", sort=False):
        names = [_recipe(name) for name in dict.fromkeys(group["recipe"].dropna())]
        overrides = dict.fromkeys(text for words in group["overrides"].dropna() for text in _changes(words))
        changed = f" with {', '.join(overrides)}" if overrides else ""
        recipes.append(f"{method}: {' and '.join(names) or 'not run yet'}{changed}")
    return "; ".join(recipes)


def _recipe(name: str) -> str:
    return "defaults" if name == "none" else f"{name} (found by a sweep)" if name.startswith("tuned/") else name


def _by_depth(runs: pd.DataFrame) -> str:
    """Which methods have the same recipe and overrides at all of their depths."""
    groups: dict[str, list[str]] = {"the same settings at every depth": [], "run at one depth": [], DIFFER: []}
    same, once, differ = groups.values()
    for method, group in runs.dropna(subset=["overrides"]).groupby("method", sort=False):
        changed = group.assign(overrides=[tuple(_changes(text)) for text in group["overrides"]])
        settings = [
            frozenset(zip(part["recipe"], part["overrides"], strict=True)) for _, part in changed.groupby("depth")
        ]
        (once if len(settings) == 1 else same if len(set(settings)) == 1 else differ).append(str(method))
    sentences = {words: methods for words, methods in groups.items() if methods}
    if len(sentences) == 1:
        return f"Each method: {next(iter(sentences))}."
    return " ".join(f"{', '.join(methods)}: {words}." for words, methods in sentences.items())


def sources(entries: Iterable[Mapping[str, Any]], published: Mapping[str, Any]) -> str:
    """The sources of published values, one a line."""
    known = published["sources"]
    used = dict.fromkeys(entry["source"] for entry in entries)
    return "\n".join(f"- [{name}]: {known[name]['title']}; {known[name]['protocol']}." for name in used)


def _matches(entry: Mapping[str, Any], runs: pd.DataFrame) -> bool:
    """Whether some of the runs are of the entry's kind: same model, edges dropped or not, nothing else changed."""
    same = (runs["model"] == entry["model"]) & ((runs["p_drop"] > 0) == entry["drop_edge"])
    unchanged = any(not _changes(overrides) for overrides in runs[same]["overrides"].dropna())
    return unchanged and not runs["split"].str.startswith("random").any()


def _changes(overrides: str) -> list[str]:
    """The overrides, `key=value`, that the tables do not show."""
    return [text for text in shlex.split(overrides) if text.partition("=")[0] not in SHOWN]

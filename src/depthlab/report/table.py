"""The Markdown tables of a study: one row a method, one column a depth, published values beside ours."""

import shlex
from collections.abc import Mapping, Sequence
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
        parts += [
            f"## {for_markdown(str(dataset))}",
            for_markdown(protocol(group)),
            f"Test {METRICS[reported(group)].quantity}:",
            markdown_table(score_rows(group, entries)),
        ]
        parts += [_sources(entries, published["sources"])]
        differences = difference_rows(group)
        points = " in points" if METRICS[reported(group)].percent else ""
        if len(differences) > 1:
            parts += [f"Differences{points}, paired by seed and split:", markdown_table(differences)]
        deeper = depth_rows(group)
        if len(deeper[0]) > 1:
            parts += [
                f"Beyond {deeper[0][0]}{points and f',{points}'}, paired by seed and split:",
                markdown_table(deeper),
            ]
        parts += ["Verdicts:", markdown_table(verdict_rows(group))]
        if measured(group):
            parts += ["State after the last layer, medians:", markdown_table(state_rows(group))]
        parts += ["Seconds of a training, mean:", markdown_table(seconds_rows(group))]
    return "\n\n".join(part for part in parts if part) + "\n"


def score_rows(runs: pd.DataFrame, entries: list[dict[str, Any]]) -> Rows:
    """Mean ± half the 95 % interval by method and depth; below it the published values."""
    depths = sorted(runs["depth"].unique())
    tuned = any("best" in entry for entry in entries)
    rows = [["method", *map(str, depths), *(["published, depth tuned"] if tuned else [])]]
    for method, group in runs.groupby("method", sort=False):
        entry = next((entry for entry in entries if _matches(entry, group)), {})
        values = [score(group, depth) for depth in depths]
        rows.append([for_markdown(str(method)), *values, *([str(entry.get("best", "-"))] if tuned else [])])
        if "values" in entry:
            quoted = [str(entry["values"].get(int(depth), "-")) for depth in depths]
            rows.append([f"*published* [{entry['source']}]", *quoted, *(["-"] if tuned else [])])
    return rows


def difference_rows(runs: pd.DataFrame) -> Rows:
    """Every method against the first method of the same model, and that against the first method of all."""
    depths = sorted(runs["depth"].unique())
    groups = {str(method): group for method, group in runs.groupby("method", sort=False)}
    models = {method: group["model"].iloc[0] for method, group in groups.items()}
    rows = [["difference", *map(str, depths)]]
    for method, group in groups.items():
        alike = next(
            (name for name in groups if models[name] == models[method]), method
        )  # a method not run has no model
        base = alike if alike != method else next(iter(groups))
        if base == method:
            continue
        values = [paired(scores(groups[base], depth), scores(group, depth)) for depth in depths]
        shown = METRICS[reported(group)]
        rows.append([for_markdown(f"{method} - {base}"), *(format_mean(value, shown, sign=True) for value in values)])
    return rows


def depth_rows(runs: pd.DataFrame) -> Rows:
    """What each depth gains or loses against the shallowest one of the study."""
    first, *deeper = sorted(runs["depth"].unique())
    rows = [[f"{first} layers", *map(str, deeper)]]
    for method, group in runs.groupby("method", sort=False):
        values = [paired(scores(group, first), scores(group, depth)) for depth in deeper]
        shown = METRICS[reported(group)]
        rows.append([for_markdown(str(method)), *(format_mean(value, shown, sign=True) for value in values)])
    return rows


def verdict_rows(runs: pd.DataFrame) -> Rows:
    """How many networks of each method and depth got which verdict; a run without a result counts by its outcome."""
    depths = sorted(runs["depth"].unique())
    rows = [["method", *map(str, depths)]]
    for method, group in runs.groupby("method", sort=False):
        values = [counted(verdicts(group[group["depth"] == depth])) for depth in depths]
        rows.append([for_markdown(str(method)), *values])
    return rows


def state_rows(runs: pd.DataFrame) -> Rows:
    """The measures of the last layer's state, as `Dirichlet energy / Rayleigh quotient / effective rank`."""
    depths, measures = sorted(runs["depth"].unique()), measured(runs)
    rows = [[f"method: {' / '.join(for_markdown(measure.label) for measure in measures)}", *map(str, depths)]]
    for method, group in runs.groupby("method", sort=False):
        values = [_medians(group[group["depth"] == depth][[measure.name for measure in measures]]) for depth in depths]
        rows.append([for_markdown(str(method)), *values])
    return rows


def seconds_rows(runs: pd.DataFrame) -> Rows:
    """Mean seconds spent in epochs."""
    depths = sorted(runs["depth"].unique())
    rows = [["method", *map(str, depths)]]
    for method, group in runs.groupby("method", sort=False):
        values = [_seconds(group[group["depth"] == depth]["seconds"].tolist()) for depth in depths]
        rows.append([for_markdown(str(method)), *values])
    return rows


def _seconds(values: list[float]) -> str:
    """Whole ones; of less than one the first digit, since 0 would be wrong."""
    found = summarize(values)
    mean = "-" if not found.n else f"{found.mean:.0f}" if found.mean >= 1 else f"{found.mean:.1g}"
    return f"{mean} ({found.missing})" if found.missing else mean


def _medians(runs: pd.DataFrame) -> str:
    """`0.5 / 0.25 / 3 (2 of 3)`; each value has its own count if the columns lack different runs."""
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


def score(runs: pd.DataFrame, depth: int) -> str:
    """`81.9 ± 0.2`, with the number of runs that have a score where some lack one; `-` where none has."""
    return format_mean(over_runs(scores(runs, depth)), METRICS[reported(runs)])


def verdicts(runs: pd.DataFrame) -> list[str]:
    """The verdict of each run, or its outcome where it has none."""
    return [v if isinstance(v, str) else o for v, o in zip(runs["verdict"], runs["outcome"], strict=True)]


def markdown_table(rows: Rows) -> str:
    """A Markdown table; the first row is the header. Text from the user must be escaped before."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def protocol(runs: pd.DataFrame) -> str:
    """How many runs there are and how they were made, in a few sentences."""
    seeds, splits = sorted(runs["seed"].unique()), list(runs["split"].unique())
    repeated = _range(seeds)
    fewer = {depth: found for depth, found in runs.groupby("depth")["seed"].unique().items() if len(found) < len(seeds)}
    repeated += "".join(f" ({_range(sorted(found))} at depth {depth})" for depth, found in fewer.items())
    repeated += f", {len(splits)} splits" if len(splits) > 1 else f", split {splits[0]}"
    other = runs[~runs["outcome"].isin(["finished"])]["outcome"].value_counts()
    ended = "".join(f", {count} {outcome}" for outcome, count in other.items())
    over = "splits (each the mean of its seeds)" if len(splits) > 1 and len(seeds) > 1 else "runs"
    code = (runs.groupby("method")["code_hash"].nunique() > 1).any()
    return (
        f"{len(runs)} runs, {(runs['outcome'] == 'finished').sum()} finished{ended}; {repeated}. Mean ± half the 95 %"
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
    found = []
    for method, group in runs.groupby("method", sort=False):
        names = [_recipe(name) for name in dict.fromkeys(group["recipe"].dropna())]
        overrides = dict.fromkeys(text for words in group["overrides"].dropna() for text in _changes(words))
        changed = f" with {', '.join(overrides)}" if overrides else ""
        found.append(f"{method}: {' and '.join(names) or 'not run yet'}{changed}")
    return "; ".join(found)


def _recipe(name: str) -> str:
    return "defaults" if name == "none" else f"{name} (found by a sweep)" if name.startswith("tuned/") else name


def _by_depth(runs: pd.DataFrame) -> str:
    """Which methods have the same recipe and overrides at all of their depths."""
    groups: dict[str, list[str]] = {"the same settings at every depth": [], "run at one depth": [], DIFFER: []}
    same, once, differ = groups.values()
    for method, group in runs.dropna(subset=["overrides"]).groupby("method", sort=False):
        found = group.assign(overrides=[tuple(_changes(text)) for text in group["overrides"]])
        settings = [
            frozenset(zip(part["recipe"], part["overrides"], strict=True)) for _, part in found.groupby("depth")
        ]
        (once if len(settings) == 1 else same if len(set(settings)) == 1 else differ).append(str(method))
    sentences = {words: methods for words, methods in groups.items() if methods}
    if len(sentences) == 1:
        return f"Each method: {next(iter(sentences))}."
    return " ".join(f"{', '.join(methods)}: {words}." for words, methods in sentences.items())


def _sources(entries: list[dict[str, Any]], sources: Mapping[str, Mapping[str, str]]) -> str:
    used = dict.fromkeys(entry["source"] for entry in entries)
    return "\n".join(f"- [{name}]: {sources[name]['title']}; {sources[name]['protocol']}." for name in used)


def _matches(entry: Mapping[str, Any], runs: pd.DataFrame) -> bool:
    """Whether some of the runs are of the entry's kind: same model, edges dropped or not, nothing else changed."""
    same = (runs["model"] == entry["model"]) & ((runs["p_drop"] > 0) == entry["drop_edge"])
    unchanged = any(not _changes(overrides) for overrides in runs[same]["overrides"].dropna())
    return unchanged and not runs["split"].str.startswith("random").any()


def _changes(overrides: str) -> list[str]:
    """The overrides, `key=value`, that the tables do not show."""
    return [text for text in shlex.split(overrides) if text.partition("=")[0] not in SHOWN]

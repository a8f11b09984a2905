"""The lines of a study as Markdown: depth across, lines down, published values beside ours."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from depthlab.config.files import config_file
from depthlab.config.yaml_files import read_mapping
from depthlab.report.cells import measured
from depthlab.statistics import counted, format_mean, n_of_m, over_runs, paired, summarize
from depthlab.tasks.metrics import METRICS
from depthlab.text import for_markdown

Rows = list[list[str]]
DIFFER = "settings that differ by depth (typed, in cells.csv)"
# typed settings that a table tells
SHOWN = ("dataset", "model", "depth", "seed", "split", "split_seed", "p_drop", "recipe", "none")


def markdown(cells: pd.DataFrame, first: str = "") -> str:
    """All tables of a study, one section a dataset, after those that come `first`."""
    published = read_mapping(config_file("", "published"))
    parts = [f"# Study {for_markdown(cells['study'].iloc[0])}", first]
    for dataset, group in cells.groupby("dataset", sort=False):
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
        parts += ["What became of the networks:", markdown_table(verdict_rows(group))]
        if measured(group):
            parts += ["State after the last layer, medians:", markdown_table(state_rows(group))]
        parts += ["Seconds of a training, mean:", markdown_table(seconds_rows(group))]
    return "\n\n".join(part for part in parts if part) + "\n"


def score_rows(cells: pd.DataFrame, entries: list[dict[str, Any]]) -> Rows:
    """Mean +- half the 95 % interval by line and depth; below a line what is published for it."""
    depths = sorted(cells["depth"].unique())
    tuned = any("best" in entry for entry in entries)
    rows = [["line", *map(str, depths), *(["published, depth tuned"] if tuned else [])]]
    for line, group in cells.groupby("line", sort=False):
        entry = next((entry for entry in entries if _matches(entry, group)), {})
        values = [score(group, depth) for depth in depths]
        rows.append([for_markdown(str(line)), *values, *([str(entry.get("best", "-"))] if tuned else [])])
        if "values" in entry:
            quoted = [str(entry["values"].get(int(depth), "-")) for depth in depths]
            rows.append([f"*published* [{entry['source']}]", *quoted, *(["-"] if tuned else [])])
    return rows


def difference_rows(cells: pd.DataFrame) -> Rows:
    """Every line against the first line of the same model, and that against the first line of all."""
    depths = sorted(cells["depth"].unique())
    groups = {str(line): group for line, group in cells.groupby("line", sort=False)}
    models = {line: group["model"].iloc[0] for line, group in groups.items()}
    rows = [["difference", *map(str, depths)]]
    for line, group in groups.items():
        alike = next((name for name in groups if models[name] == models[line]), line)  # a line not run has no model
        base = alike if alike != line else next(iter(groups))
        if base == line:
            continue
        values = [paired(scores(groups[base], depth), scores(group, depth)) for depth in depths]
        shown = METRICS[reported(group)]
        rows.append([for_markdown(f"{line} - {base}"), *(format_mean(value, shown, sign=True) for value in values)])
    return rows


def depth_rows(cells: pd.DataFrame) -> Rows:
    """What each depth gains or loses against the shallowest one of the study."""
    first, *deeper = sorted(cells["depth"].unique())
    rows = [[f"{first} layers", *map(str, deeper)]]
    for line, group in cells.groupby("line", sort=False):
        values = [paired(scores(group, first), scores(group, depth)) for depth in deeper]
        shown = METRICS[reported(group)]
        rows.append([for_markdown(str(line)), *(format_mean(value, shown, sign=True) for value in values)])
    return rows


def verdict_rows(cells: pd.DataFrame) -> Rows:
    """How many networks of each line and depth got which verdict; a cell without a result counts by its outcome."""
    depths = sorted(cells["depth"].unique())
    rows = [["line", *map(str, depths)]]
    for line, group in cells.groupby("line", sort=False):
        values = [counted(verdicts(group[group["depth"] == depth])) for depth in depths]
        rows.append([for_markdown(str(line)), *values])
    return rows


def state_rows(cells: pd.DataFrame) -> Rows:
    """The measures of the last layer's state, as `Dirichlet energy / Rayleigh quotient / effective rank`."""
    depths, measures = sorted(cells["depth"].unique()), measured(cells)
    rows = [[f"line: {' / '.join(for_markdown(measure.label) for measure in measures)}", *map(str, depths)]]
    for line, group in cells.groupby("line", sort=False):
        values = [_medians(group[group["depth"] == depth][[measure.name for measure in measures]]) for depth in depths]
        rows.append([for_markdown(str(line)), *values])
    return rows


def seconds_rows(cells: pd.DataFrame) -> Rows:
    """Mean seconds spent in epochs."""
    depths = sorted(cells["depth"].unique())
    rows = [["line", *map(str, depths)]]
    for line, group in cells.groupby("line", sort=False):
        values = [_seconds(group[group["depth"] == depth]["seconds"].tolist()) for depth in depths]
        rows.append([for_markdown(str(line)), *values])
    return rows


def _seconds(values: list[float]) -> str:
    """Whole ones; of less than one the first digit, since 0 would be wrong."""
    found = summarize(values)
    mean = "-" if not found.n else f"{found.mean:.0f}" if found.mean >= 1 else f"{found.mean:.1g}"
    return f"{mean} ({found.missing})" if found.missing else mean


def _medians(cells: pd.DataFrame) -> str:
    """`0.5 / 0.25 / 3 (2 of 3)`; each value has its own count if the columns lack different runs."""
    counts = [n_of_m(int(cells[name].notna().sum()), len(cells)) for name in cells]
    if cells.isna().all(axis=None):
        return f"- ({counts[0]})" if counts[0] else "-"
    values = [f"{cells[name].median():.2g}" for name in cells]
    if len(set(counts)) > 1:
        return " / ".join(f"{value} ({count})" if count else value for value, count in zip(values, counts, strict=True))
    return " / ".join(values) + (f" ({counts[0]})" if counts[0] else "")


def reported(cells: pd.DataFrame) -> str:
    """Name of the metric that the cells of one dataset are measured by; accuracy where none has run."""
    return str(next(iter(cells["metric"].dropna()), "acc"))


def scores(cells: pd.DataFrame, depth: int) -> dict[tuple[int, str], float]:
    """(seed, split) -> test score of the cells at this depth; NaN of those without one."""
    return by_run(cells[cells["depth"] == depth], f"test_{reported(cells)}")


def by_run(cells: pd.DataFrame, column: str) -> dict[tuple[int, str], float]:
    """(seed, split) -> value of the column."""
    return dict(zip(zip(cells["seed"], cells["split"], strict=True), cells[column], strict=True))


def score(cells: pd.DataFrame, depth: int) -> str:
    """`81.9 +- 0.2`, with how many of the cells it rests on where some have no score; `-` where none has."""
    return format_mean(over_runs(scores(cells, depth)), METRICS[reported(cells)])


def verdicts(cells: pd.DataFrame) -> list[str]:
    """The verdict of each cell, or its outcome where it has none."""
    return [v if isinstance(v, str) else o for v, o in zip(cells["verdict"], cells["outcome"], strict=True)]


def markdown_table(rows: Rows) -> str:
    """A Markdown table; the first row is the header. Text from the user must be escaped before."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def protocol(cells: pd.DataFrame) -> str:
    """How many runs there are and how they were made, in a few sentences."""
    seeds, splits = sorted(cells["seed"].unique()), list(cells["split"].unique())
    runs = _range(seeds)
    fewer = {
        depth: found for depth, found in cells.groupby("depth")["seed"].unique().items() if len(found) < len(seeds)
    }
    runs += "".join(f" ({_range(sorted(found))} at depth {depth})" for depth, found in fewer.items())
    runs += f", {len(splits)} splits" if len(splits) > 1 else f", split {splits[0]}"
    other = cells[~cells["outcome"].isin(["finished"])]["outcome"].value_counts()
    ended = "".join(f", {count} {outcome}" for outcome, count in other.items())
    over = "splits (each the mean of its seeds)" if len(splits) > 1 and len(seeds) > 1 else "runs"
    code = (cells.groupby("line")["code_hash"].nunique() > 1).any()
    return (
        f"{len(cells)} cells, {(cells['outcome'] == 'finished').sum()} finished{ended}; {runs}. Mean +- half the 95 %"
        f" t-interval over {over}. The tested state is the one that is best on {_monitored(cells)} data; the test set"
        " is read once. Settings: "
        f"{_recipes(cells)}. {_by_depth(cells)}"
        + (" Not all runs of a line are of the same code: see code_hash." if code else "")
        + " Every run: cells.csv."
    )


def _range(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def _monitored(cells: pd.DataFrame) -> str:
    """`validation`, but for tasks whose protocol selects by a training score."""
    kinds = {"training" if " monitor=train_" in f" {words}" else "validation" for words in cells["typed"].dropna()}
    return " or ".join(sorted(kinds, reverse=True)) or "validation"


def _recipes(cells: pd.DataFrame) -> str:
    """`GCN: published/cora-gcn; residual GCN: defaults with epochs=60`."""
    found = []
    for line, group in cells.groupby("line", sort=False):
        names = [_recipe(name) for name in dict.fromkeys(group["recipe"].dropna())]
        typed = dict.fromkeys(text for words in group["typed"].dropna() for text in _changes(words))
        changed = f" with {', '.join(typed)}" if typed else ""
        found.append(f"{line}: {' and '.join(names) or 'not run yet'}{changed}")
    return "; ".join(found)


def _recipe(name: str) -> str:
    return "defaults" if name == "none" else f"{name} (found by a sweep)" if name.startswith("tuned/") else name


def _by_depth(cells: pd.DataFrame) -> str:
    """Which lines have the same recipe and overrides at all of their depths; the records do not tell more."""
    said: dict[str, list[str]] = {"the same settings at every depth": [], "run at one depth": [], DIFFER: []}
    same, once, differ = said.values()
    for line, group in cells.dropna(subset=["typed"]).groupby("line", sort=False):
        found = group.assign(typed=[tuple(_changes(text)) for text in group["typed"]])
        settings = [frozenset(zip(part["recipe"], part["typed"], strict=True)) for _, part in found.groupby("depth")]
        (once if len(settings) == 1 else same if len(set(settings)) == 1 else differ).append(str(line))
    sentences = {words: lines for words, lines in said.items() if lines}
    if len(sentences) == 1:
        return f"Each line: {next(iter(sentences))}."
    return " ".join(f"{', '.join(lines)}: {words}." for words, lines in sentences.items())


def _sources(entries: list[dict[str, Any]], sources: Mapping[str, Mapping[str, str]]) -> str:
    used = dict.fromkeys(entry["source"] for entry in entries)
    return "\n".join(f"- [{name}]: {sources[name]['title']}; {sources[name]['protocol']}." for name in used)


def _matches(entry: Mapping[str, Any], cells: pd.DataFrame) -> bool:
    """Whether some of the cells are of the entry's kind: same model, edges dropped or not, nothing else changed."""
    same = (cells["model"] == entry["model"]) & ((cells["p_drop"] > 0) == entry["drop_edge"])
    unchanged = any(not _changes(typed) for typed in cells[same]["typed"].dropna())
    return unchanged and not cells["split"].str.startswith("random").any()


def _changes(typed: str) -> list[str]:
    """What was typed, `key=value`, besides what the table shows."""
    return [text for text in shlex.split(typed) if text.partition("=")[0] not in SHOWN]

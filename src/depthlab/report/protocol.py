"""How the runs of a study were made, in a few sentences."""

import shlex
from collections.abc import Sequence

import pandas as pd

from depthlab.statistics import over_runs

DIFFER = "settings that differ by depth (overrides, in runs.csv)"
# overrides that the tables show already
SHOWN = ("dataset", "model", "depth", "seed", "split", "split_seed", "p_drop", "recipe", "none")


def protocol(runs: pd.DataFrame) -> str:
    """How many runs there are and how they were made, in a few sentences."""
    seeds, splits = sorted(runs["seed"].unique()), list(runs["split"].unique())
    runs_text = _range(seeds)
    fewer = {depth: own for depth, own in runs.groupby("depth")["seed"].unique().items() if len(own) < len(seeds)}
    runs_text += "".join(f" ({_range(sorted(own))} at depth {depth})" for depth, own in fewer.items())
    runs_text += f", {len(splits)} splits" if len(splits) > 1 else f", split {splits[0]}"
    other = runs[~runs["outcome"].isin(["finished"])]["outcome"].value_counts()
    ended = "".join(f", {count} {outcome}" for outcome, count in other.items())
    code = (runs.groupby("method")["code_hash"].nunique() > 1).any()
    return (
        f"{len(runs)} runs, {(runs['outcome'] == 'finished').sum()} finished{ended}; {runs_text}. {spread(runs)}"
        f" The weights that are best on {_monitored(runs)} data are tested, and the test set is read once."
        f" Settings: {_recipes(runs)}. {_by_depth(runs)}"
        + (" Not all runs of a method were computed by the same code: see code_hash." if code else "")
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
        overrides = dict.fromkeys(text for words in group["overrides"].dropna() for text in changes(words))
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
        changed = group.assign(overrides=[tuple(changes(text)) for text in group["overrides"]])
        settings = [
            frozenset(zip(part["recipe"], part["overrides"], strict=True)) for _, part in changed.groupby("depth")
        ]
        (once if len(settings) == 1 else same if len(set(settings)) == 1 else differ).append(str(method))
    sentences = {words: methods for words, methods in groups.items() if methods}
    if len(sentences) == 1:
        return f"Each method: {next(iter(sentences))}."
    return " ".join(f"{', '.join(methods)}: {words}." for words, methods in sentences.items())


def spread(runs: pd.DataFrame) -> str:
    """What the scores of the tables are: a mean has an interval only if there are enough runs for one."""
    column = f"test_{reported(runs)}"
    counts = [over_runs(by_run(part, column)).n for _, part in runs.groupby(["method", "depth"], sort=False)]
    if max(counts, default=0) < 2:
        return "One run each, so the spread between runs is not known."
    if max(counts) < 3:
        return "Means of two runs: too few for an interval."
    splits, seeds = runs["split"].nunique(), runs["seed"].nunique()
    over = "runs" if splits == 1 else "splits (each the mean of its seeds)" if seeds > 1 else "splits"
    return f"Mean ± half the 95 % interval over {over}, where there are three or more."


def reported(runs: pd.DataFrame) -> str:
    """Name of the metric that the runs of one dataset are measured by; accuracy where none has run."""
    return str(next(iter(runs["metric"].dropna()), "acc"))


def by_run(runs: pd.DataFrame, column: str) -> dict[tuple[int, str], float]:
    """(seed, split) -> value of the column."""
    return dict(zip(zip(runs["seed"], runs["split"], strict=True), runs[column], strict=True))


def changes(overrides: str) -> list[str]:
    """The overrides, `key=value`, that the tables do not show."""
    return [text for text in shlex.split(overrides) if text.partition("=")[0] not in SHOWN]

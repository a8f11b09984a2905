"""After the search: the best setting on fresh seeds beside what it started from, tested once, written as a recipe."""

import datetime
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from depthlab.config.files import user_folder
from depthlab.config.settings import NOT_THE_EXPERIMENT, flatten
from depthlab.config.validation import has_own_path
from depthlab.files import write_text
from depthlab.statistics import Summary, format_mean, over_runs, paired
from depthlab.study.grid import AXES, PlannedRun
from depthlab.study.plan import make_plan
from depthlab.study.run import run_study
from depthlab.sweep.search import FRESH, Search
from depthlab.sweep.space import Knob, Value
from depthlab.sweep.storage import ended
from depthlab.sweep.summary import ranked, written
from depthlab.tasks.metrics import METRICS, Metric
from depthlab.tracking.search import Records

TUNED, START = "tuned", "start"
WORDS = {TUNED: "tuned", START: "before"}
DIGITS = 3  # of a tuned value: more would claim more than a search can know


def confirm(name: str, study: optuna.Study, search: Search, config: DictConfig) -> bool:
    """Train and test the best setting and the start on seeds that the search has not seen; write the recipe.

    Returns:
        Whether all of those trainings ended with a result.
    """
    best = ranked(study, search)
    fresh = config.fresh if config.fresh is not None else 10 if len(search.splits) == 1 else 2
    if not best or not fresh:
        return True
    tuned = {key: rounded(value, search.knobs[key]) for key, value in best[0].params.items()}
    if tuned == search.start:
        print("nothing was better than what the sweep started from: no recipe is written")
        return True
    points = search.points(range(FRESH, FRESH + fresh))
    runs = []
    for line, params in ((START, search.start), (TUNED, tuned)):
        for point in points:
            settings = search.settings(params, point)
            settings["tracking"]["artifacts"] = ["config"]
            runs.append(PlannedRun(line, search.config.dataset.name, settings, search.origin(params, point)))
    how = {"jobs": config.jobs, "backend": config.backend, "scheduler": config.scheduler}
    plain = OmegaConf.create(how | {"only": None, "replicas": "auto", "reuse": "same_code", "dry": False})
    if not run_study(f"sweep-{name}", runs, plain):
        print("some of the fresh trainings failed: the same command tries them again; no recipe is written")
        return False
    tracking = search.config.tracking
    plan = make_plan(runs, Records(tracking.uri, tracking.experiment).runs(), True)
    metric = search.config.dataset.metric
    found: dict[str, dict[tuple[int, str], float]] = {START: {}, TUNED: {}}
    for planned in runs:
        metrics = plan.done[planned.hash].metrics
        found[planned.method][planned.seed, planned.split] = metrics.get(f"test_{metric}", math.nan)
    start, best_found = over_runs(found[START]), over_runs(found[TUNED])
    lost = {WORDS[line]: one.asked - one.runs for line, one in ((START, start), (TUNED, best_found))}
    diverged = [f"{count} of {len(points)} runs diverged {word}" for word, count in lost.items() if count]
    if not start.n or not best_found.n:
        print(f"nothing can be compared: {', '.join(diverged)}; no recipe is written")
        return True
    change = paired(found[START], found[TUNED])
    verdict = ", ".join([compared(start, best_found, change, METRICS[metric]), *diverged])
    graph = [f"dataset={search.config.dataset.name}", *graph_settings(search, tuned)]
    command = shlex.join(["depthlab", "train", f"model={search.choices['model']}", *graph])
    if has_own_path(search.config, search.choices):
        values = shlex.join(f"{key}={value}" for key, value in flatten(recipe(search, tuned)).items())
        print(
            f"{verdict}\nno recipe is written, since dataset={search.config.dataset.name} may be any graph; train with:"
        )
        print(f"{command} {values}")
        return True
    whole = sum(trial.state == TrialState.COMPLETE for trial in ended(study))
    header = [
        f"Found by the sweep {name} on validation data alone: {len(ended(study))} trials, {whole} of them whole, of",
        f"{len(search.points())} trainings each ({_places(search)}); {search.objectives[0]}; sampler {config.sampler};"
        f" {datetime.datetime.now(datetime.UTC):%Y-%m-%d}.",
        *(f"Graph: {text}." for text in graph_settings(search, tuned)),
        *(f"Searched: {key} in {knob}." for key, knob in search.knobs.items()),
        f"Tested once, seeds {FRESH} to {FRESH + fresh - 1}, beside what it started from ({written(search.start)}):",
        verdict,
    ]
    file = user_folder() / "recipe" / "tuned" / f"{search.pair}.yaml"
    if file.exists() and f"the sweep {name} on" not in file.read_text():
        write_text(file.with_suffix(".yaml.old"), file.read_text(encoding="utf-8"))
        print(f"what {file.name} held before is now in {file.name}.old")
    write_recipe(file, header, recipe(search, tuned))
    print(f"{verdict}\nwritten to {file}: {command} recipe=tuned")
    return True


def graph_settings(search: Search, tuned: Mapping[str, Value]) -> list[str]:
    """What has to be typed beside the recipe: settings of the dataset, the rewiring, the loader, and what was found."""
    typed = [text for text in search.typed if text.startswith(("dataset.", "like=", "rewiring", "loader"))]
    return typed + [f"{key}={value}" for key, value in tuned.items() if key.startswith("rewiring.")]


def rounded(value: Value, knob: Knob) -> Value:
    """A searched number with as many digits as mean something, where that is still a value of its knob."""
    short = float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
    return short if knob.holds(short) else value


def compared(start: Summary, tuned: Summary, change: Summary, metric: Metric) -> str:
    """`test accuracy 85.2 ± 0.5 % tuned, 84.9 ± 0.4 % before; paired +0.3 ± 0.4: no difference can be seen`."""
    means = [format_mean(summary, metric, unit=True) for summary in (tuned, start)]
    text = f"test {metric.label} {means[0]} tuned, {means[1]} before"
    if not change.has_interval:
        return text
    better = (change.mean > 0) == metric.higher_is_better
    seen = "no difference can be seen" if change.low <= 0 <= change.high else "better" if better else "worse"
    return f"{text}; paired {format_mean(change, metric, sign=True)}: {seen}"


def recipe(search: Search, tuned: Mapping[str, Value]) -> dict[str, Any]:
    """All values of the tuned setting that are not the defaults': of the recipe that it started from, typed, found.

    Those of a rewiring and a loader are left out, as those of the graph are: a recipe is of a network, and holds values
    alone.
    """
    origin = search.origin(tuned, {})
    config = OmegaConf.create(search.settings(tuned, {}))
    kept = {"depth": config.depth}
    for key, source in origin.items():
        group = key.split(".")[0]
        chosen = key in ("model", "trainer", "recipe", "like")
        if (
            chosen
            or group in (*NOT_THE_EXPERIMENT, *AXES, "dataset", "rewiring", "loader")
            or source == "default"
            or source.startswith(("model ", "dataset "))
        ):
            continue
        kept[key] = OmegaConf.select(config, key)
    nested = OmegaConf.create()
    for key, value in kept.items():
        OmegaConf.update(nested, key, value)
    return OmegaConf.to_container(nested)  # type: ignore[return-value]


def write_recipe(file: Path, header: list[str], values: Mapping[str, Any]) -> None:
    """A yaml of conf/recipe with its provenance as comments."""
    comments = "".join(f"# {line}\n" for line in header)
    write_text(file, f"# @package _global_\n{comments}{yaml.safe_dump(dict(values), sort_keys=False)}")


def _places(search: Search) -> str:
    splits = ", ".join(" ".join(map(str, split.values())) for split in search.splits)
    return f"split {splits}; {'seeds' if len(search.seeds) > 1 else 'seed'} {', '.join(map(str, search.seeds))}"

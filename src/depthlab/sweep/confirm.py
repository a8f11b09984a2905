"""After the search: test the best hyperparameters and the baseline on fresh seeds, and write a recipe."""

import datetime
import math
import shlex
from collections.abc import Mapping
from typing import Any

import optuna
import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from depthlab.config.files import user_folder
from depthlab.config.schema import OPTION_GROUPS
from depthlab.config.settings import EXECUTION_SETTINGS, flatten, to_dict
from depthlab.config.validation import has_own_path
from depthlab.files import write_text
from depthlab.statistics import Summary, format_mean, over_runs, paired
from depthlab.study.grid import AXES, PlannedRun
from depthlab.study.plan import make_plan
from depthlab.study.run import run_study
from depthlab.sweep.queue import finished_trials
from depthlab.sweep.search import FRESH, Search
from depthlab.sweep.space import Range, Value
from depthlab.sweep.summary import format_params, ranked
from depthlab.tasks.metrics import METRICS, Metric
from depthlab.tracking.search import Records

TUNED, BASELINE = "tuned", "baseline"  # methods of the study that tests them
DIGITS = 3  # of a tuned value: a search is not more precise


def confirm(name: str, study: optuna.Study, search: Search, config: DictConfig) -> bool:
    """Train and test the best hyperparameters and the baseline on fresh seeds; write the recipe.

    Returns:
        Whether all of these trainings have a result.
    """
    best = ranked(study, search)
    fresh = config.fresh if config.fresh is not None else 10 if len(search.splits) == 1 else 2
    if not best or not fresh:
        return True
    tuned = {key: round_value(value, search.space[key]) for key, value in best[0].params.items()}
    if tuned == search.baseline:
        print("nothing was better than the baseline: no recipe is written")
        return True
    scores = _test(name, search, config, {BASELINE: search.baseline, TUNED: tuned}, range(FRESH, FRESH + fresh))
    if scores is None:
        print("some of the fresh trainings failed: the same command tries them again; no recipe is written")
        return False
    means = {method: over_runs(values) for method, values in scores.items()}
    diverged = [
        f"{mean.asked - mean.runs} of {mean.asked} runs diverged with {method}"
        for method, mean in means.items()
        if mean.runs < mean.asked
    ]
    if not all(mean.n for mean in means.values()):
        print(f"nothing can be compared: {', '.join(diverged)}; no recipe is written")
        return True
    metric, change = METRICS[search.config.dataset.metric], paired(scores[BASELINE], scores[TUNED])
    verdict = ", ".join([format_comparison(means[BASELINE], means[TUNED], change, metric), *diverged])
    graph = [f"dataset={search.choices['dataset']}", *graph_settings(search, tuned)]
    command = shlex.join(["depthlab", "train", f"model={search.choices['model']}", *graph])
    anything = "model=module may be any network" if search.choices["model"] == "module" else ""
    if has_own_path(search.config, search.choices):
        anything = f"dataset={search.choices['dataset']} may be any graph"
    if anything:
        values = shlex.join(f"{key}={value}" for key, value in flatten(recipe(search, tuned)).items())
        print(f"{verdict}\nno recipe is written, since {anything}; train with:\n{command} {values}")
        return True
    trials = finished_trials(study)
    complete = sum(trial.state == TrialState.COMPLETE for trial in trials)
    header = [
        f"Found by the sweep {name} on validation data: {len(trials)} trials, {complete} of them complete, of",
        f"{len(search.trainings())} trainings each ({_splits_and_seeds(search)}); {search.objectives[0]};"
        f" sampler {config.sampler}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}.",
        *(f"Graph: {text}." for text in graph_settings(search, tuned)),
        *(f"Searched: {key} in {values}." for key, values in search.space.items()),
        f"Tested once, seeds {FRESH} to {FRESH + fresh - 1}, beside the baseline ({format_params(search.baseline)}):",
        verdict,
    ]
    file = user_folder() / "recipe" / "tuned" / f"{search.pair}.yaml"
    if file.exists() and f"the sweep {name} on" not in file.read_text():
        write_text(file.with_suffix(".yaml.old"), file.read_text(encoding="utf-8"))
        print(f"the former {file.name} is now {file.name}.old")
    comments = "".join(f"# {line}\n" for line in header)
    write_text(file, f"# @package _global_\n{comments}{yaml.safe_dump(recipe(search, tuned), sort_keys=False)}")
    print(f"{verdict}\nwritten to {file}: {command} recipe=tuned")
    return True


def _test(
    name: str, search: Search, config: DictConfig, methods: Mapping[str, Mapping[str, Value]], seeds: range
) -> dict[str, dict[tuple[int, str], float]] | None:
    """Test score by (seed, split) of each method, NaN for a run that diverged; None if a run failed."""
    runs = []
    for method, params in methods.items():
        for training in search.trainings(seeds):
            settings = search.settings(params, training).with_tracking(artifacts=["config"])
            runs.append(PlannedRun(method, search.dataset, settings, search.provenance(params, training)))
    workers = {"jobs": config.jobs, "backend": config.backend, "scheduler": config.scheduler}
    options = OmegaConf.create(workers | {"only": None, "replicas": "auto", "reuse": "same_code", "dry": False})
    if not run_study(f"sweep-{name}", runs, options):
        return None
    tracking = search.config.tracking
    plan = make_plan(runs, Records(tracking.uri, tracking.experiment).runs(), True)
    scores: dict[str, dict[tuple[int, str], float]] = {method: {} for method in methods}
    for run in runs:
        metrics = plan.done[run.hash].metrics
        scores[run.method][run.seed, run.split] = metrics.get(f"test_{search.config.dataset.metric}", math.nan)
    return scores


def graph_settings(search: Search, tuned: Mapping[str, Value]) -> list[str]:
    """The overrides that complete a recipe: dataset, rewiring, loader and optimizer."""
    beside = ("dataset.", "like=", "rewiring", "loader", "optimizer", "lr_scheduler")
    given = [text for text in search.overrides if text.startswith(beside)]
    return given + [f"{key}={value}" for key, value in tuned.items() if key.startswith("rewiring.")]


def round_value(value: Value, values: Range) -> Value:
    """A number with `DIGITS` significant digits, if that is still in its range."""
    short = float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
    return short if short in values else value


def format_comparison(baseline: Summary, tuned: Summary, change: Summary, metric: Metric) -> str:
    """`test accuracy 85.2 ± 0.5 % tuned, 84.9 ± 0.4 % baseline; paired difference +0.3 ± 0.4: not significant`."""
    means = [format_mean(summary, metric, unit=True) for summary in (tuned, baseline)]
    text = f"test {metric.label} {means[0]} {TUNED}, {means[1]} {BASELINE}"
    if not change.has_interval:
        return text
    better = (change.mean > 0) == metric.higher_is_better
    verdict = "not significant" if change.low <= 0 <= change.high else "better" if better else "worse"
    return f"{text}; paired difference {format_mean(change, metric, sign=True)}: {verdict}"


def recipe(search: Search, tuned: Mapping[str, Value]) -> dict[str, Any]:
    """All settings that are not defaults: from the initial recipe, the command line and the search.

    Settings of graph, rewiring, loader, optimizer and scheduler are left out, because a recipe describes a network.
    """
    config = OmegaConf.create(to_dict(search.settings(tuned, {})))
    values = OmegaConf.create({"depth": config.depth})
    for key, source in search.provenance(tuned, {}).items():
        chosen = key in ("model", "trainer", "recipe", "like")
        group = key.split(".")[0]
        elsewhere = group in (*EXECUTION_SETTINGS, *AXES, *OPTION_GROUPS.keys() - {"model"})
        if not (chosen or elsewhere or source == "default" or source.startswith("model ")):
            OmegaConf.update(values, key, OmegaConf.select(config, key))
    return OmegaConf.to_container(values)  # type: ignore[return-value]


def _splits_and_seeds(search: Search) -> str:
    splits = ", ".join(" ".join(map(str, split.values())) for split in search.splits)
    return f"split {splits}; {'seeds' if len(search.seeds) > 1 else 'seed'} {', '.join(map(str, search.seeds))}"

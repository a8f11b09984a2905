"""`depthlab sweep model=gcnii dataset=cora depth=64`: search hyperparameters.

    depthlab sweep model=gcnii dataset=cora depth=32                     the space of conf/sweep/gcnii.yaml
    depthlab sweep model=gcnii "p_drop=interval(0, 0.3)" dropout=0.6      one range narrowed, one value fixed
    depthlab sweep model=gcnii "lr=tag(log, interval(0.001, 0.1))"        one range added

Every setting of `depthlab train` may be given. The first trial is the recipe; the best is tested on fresh seeds and
written to conf/recipe/tuned.
"""

import re
import sys
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depthlab.cli import guarded
from depthlab.config.command_line import for_hydra
from depthlab.config.compose import compose, compose_config
from depthlab.config.errors import UserError
from depthlab.config.files import config_file
from depthlab.config.overrides import check_runs
from depthlab.config.provenance import untuned
from depthlab.config.schema import SWEEP_LIMITS
from depthlab.config.validation import check_limits
from depthlab.data.raw import check
from depthlab.study.grid import values_of
from depthlab.sweep.search import Search, make_search
from depthlab.sweep.space import grid, read_space
from depthlab.text import printable
from depthlab.tracking.store import check_store, store_uri

OWN = {key.split(".")[0] for key in SWEEP_LIMITS}


def main() -> None:
    """Compose and check what can be checked cheaply, then import the heavy libraries and search."""
    overrides = for_hydra(sys.argv[1:])
    name, search, config = composed(overrides)
    uri = store_uri(search.config.tracking.uri)
    check_store(uri)
    search.config.tracking.uri = uri
    first = search.trainings()[0]
    settings = search.settings(search.baseline, first)
    check(settings.dataset)
    if notice := untuned(settings, search.provenance(search.baseline, first)):
        print(notice, file=sys.stderr)
    print(listing(name, search, config))
    if config.dry:
        return

    from depthlab.sweep.run import run_sweep

    sys.exit(0 if run_sweep(name, search, config) else 1)


def composed(overrides: list[str]) -> tuple[str, Search, DictConfig]:
    """Name, search and settings of the sweep of a command line.

    Raises:
        UserError: an override is not allowed.
    """
    own = [override for override in overrides if _key(override) in OWN]
    other = [override for override in overrides if override not in own]
    refused = {
        "ckpt": "a sweep resumes by itself",
        "seed": "seeds=3 sets the number of seeds of a trial",
        "logger": "a sweep is recorded in MLflow, with the curves of all trainings of a trial in one run",
        "replicas": "the trainings of a trial run one after another, so that it can be pruned between them",
    }
    for key, why in refused.items():
        if any(_key(override) == key for override in other):
            raise UserError(f"leave {key} out: {why}")
    if any(override == "trainer=ddp" or _key(override) == "trainer.strategy" for override in other):
        raise UserError(
            "a training of a sweep has one process: leave trainer=ddp out; jobs=2 runs two trials at the same time"
        )
    axes = [override for override in other if _key(override) in ("split", "split_seed")]
    other = [override for override in other if override not in axes]
    models = values_of([override for override in other if _key(override) == "model"]).get("model") or [
        compose_config([])[1]["model"]
    ]
    if len(models) > 1:
        raise UserError("a sweep has one model: give model one value")
    config = _compose(own, models[0])
    content: Any = OmegaConf.to_container(config.sweep)
    if not isinstance(content, dict):
        raise UserError("conf/sweep/NAME.yaml must have lines SETTING: RANGE")
    space, fixed = read_space({str(key): value for key, value in content.items()}, other)
    splits = _splits(axes)
    first = [f"{key}={value}" for key, value in splits[0].items()] if splits else []
    trainings = config.trials * (config.seeds or 1) + 2 * (config.fresh or 0)
    check_runs([trainings, max(1, len(splits))], config.max_runs, "this sweep")
    search = make_search(space, [*fixed, *first], config.objective, config.seeds, splits)
    if len(search.objectives) > 1 or config.sampler == "gp":
        config.pruner = "none"  # Optuna prunes by one objective only; its Gaussian process learns from complete trials
    if config.sampler == "grid":
        sizes = [len(values.choices) for values in search.space.values()]
        check_runs([*sizes, len(search.splits), len(search.seeds)], config.max_runs, "this sweep")
        grid(search.space)
    rewired = "" if search.choices["rewiring"] == "none" else f"-{search.choices['rewiring']}"
    name = config.study_name or f"{search.pair}-d{search.config.depth}{rewired}"
    if not re.fullmatch(r"\w[\w.+-]*", name):  # it names a file and is part of filters of MLflow
        raise UserError(f"study_name must be made of letters, digits and . _ + -, got {name}")
    return name, search, config


def listing(name: str, search: Search, config: DictConfig) -> str:
    """The space, the objectives and the trainings of a sweep, for printing."""
    runs = f"{len(search.splits)} {'splits' if len(search.splits) > 1 else 'split'} x {len(search.seeds)} seeds"
    rows = [f"sweep {name}: {config.trials} trials of {runs}, {', '.join(search.objectives)}, sampler {config.sampler}"]
    for key, values in search.space.items():
        default = OmegaConf.select(search.config, key)
        outside = "" if default in values else f", {default} is outside"
        rows.append(f"  {key}: {values} (baseline {search.baseline[key]}{outside})")
    return "\n".join(map(printable, rows))


def _splits(axes: list[str]) -> list[dict[str, Any]]:
    """The splits in the overrides of `split` and `split_seed`."""
    values = values_of(axes)
    seeds = values.get("split_seed", [])
    if seeds and values.get("split") != ["random"]:
        raise UserError("split_seed is of random splits only: add split=random")
    if any(not seed.isdigit() for seed in seeds):
        raise UserError(f"split_seed must be whole numbers, got {', '.join(seeds)}")
    if seeds:
        return [{"split": "random", "split_seed": int(seed)} for seed in seeds]
    return [{"split": int(split) if split.isdigit() else split} for split in values.get("split", [])]


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _compose(own: list[str], model: str) -> DictConfig:
    """The sweep's own settings, validated; the default space is that of the model, if there is one."""
    named = any(_key(override) == "sweep" for override in own)
    default = [f"sweep={model}"] if not named and config_file("sweep", model).is_file() else []
    config, _ = compose("sweep", [*default, *own])
    check_limits(config, SWEEP_LIMITS)
    return config


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)

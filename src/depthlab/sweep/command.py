"""`depthlab sweep model=gcnii dataset=cora depth=64`: search the knobs that hold a deep network together.

    depthlab sweep model=gcnii dataset=cora depth=32                     the knobs of conf/sweep/gcnii.yaml
    depthlab sweep model=gcnii "p_drop=interval(0, 0.3)" dropout=0.6      one narrowed, one fixed
    depthlab sweep model=gcnii "lr=tag(log, interval(0.001, 0.1))"        one added

Every setting of `depthlab train` can be typed. The first trial is the recipe; the best is tested on fresh seeds
and written to conf/recipe/tuned. Settings of the sweep itself:
"""

import re
import sys
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depthlab.cli import guarded
from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.config.files import config_file
from depthlab.config.overrides import check_runs
from depthlab.config.schema import SWEEP_KNOBS
from depthlab.config.settings import compose_config, untuned
from depthlab.config.typed import for_hydra
from depthlab.config.validation import check_limits
from depthlab.data.raw import check
from depthlab.study.grid import values_of
from depthlab.sweep.search import Search, make_search
from depthlab.sweep.space import grid, read_space
from depthlab.text import printable
from depthlab.tracking.store import check_store, store_uri

OWN = {key.split(".")[0] for key in SWEEP_KNOBS}


def main() -> None:
    """Compose and check everything that can be checked cheaply, then import the heavy libraries and search."""
    typed = for_hydra(sys.argv[1:])
    if {"-h", "--help"}.intersection(typed):
        print(__doc__ + "\n" + config_file("", "sweep").read_text().partition("_self_\n")[2].partition("\nhydra:")[0])
        return
    name, search, config = composed(typed)
    uri = store_uri(search.config.tracking.uri)
    check_store(uri)
    search.config.tracking.uri = uri
    first = search.points()[0]
    settings = search.settings(search.start, first)
    check(settings["dataset"])
    if notice := untuned(settings, search.origin(search.start, first)):
        print(notice, file=sys.stderr)
    print(listing(name, search, config))
    if config.dry:
        return

    from depthlab.sweep.run import run_sweep

    sys.exit(0 if run_sweep(name, search, config) else 1)


def composed(typed: list[str]) -> tuple[str, Search, DictConfig]:
    """Name, space and settings of the sweep that a command line asks for.

    Raises:
        UserError: something in it is not allowed.
    """
    own = [override for override in typed if _key(override) in OWN]
    other = [override for override in typed if override not in own]
    refused = {
        "ckpt": "a sweep goes on by itself",
        "seed": "seeds=3 says how many a trial has",
        "replicas": "the trainings of a trial are compared and pruned one after another",
    }
    for key, why in refused.items():
        if any(_key(override) == key for override in other):
            raise UserError(f"leave {key} out: {why}")
    if any(override == "trainer=ddp" or _key(override) == "trainer.strategy" for override in other):
        raise UserError(
            "the trainings of a sweep are of one process each: leave trainer=ddp out, jobs=2 does two trials"
        )
    axes = [override for override in other if _key(override) in ("split", "split_seed")]
    other = [override for override in other if override not in axes]
    models = values_of([override for override in other if _key(override) == "model"]).get("model") or [
        compose_config([])[1]["model"]
    ]
    if len(models) > 1:
        raise UserError("a sweep is of one model: give model one value")
    config = _compose(own, models[0])
    content: Any = OmegaConf.to_container(config.sweep)
    if not isinstance(content, dict):
        raise UserError("conf/sweep/NAME.yaml must hold KNOB: RANGE, one a line")
    knobs, rest = read_space({str(key): value for key, value in content.items()}, other)
    splits = _splits(axes)
    first = [f"{key}={value}" for key, value in splits[0].items()] if splits else []
    trainings = config.trials * (config.seeds or 1) + 2 * (config.fresh or 0)
    check_runs([trainings, max(1, len(splits))], config.max_runs, "this sweep")
    search = make_search(knobs, [*rest, *first], config.objective, config.seeds, splits)
    if len(search.objectives) > 1 or config.sampler == "gp":
        config.pruner = "none"  # Optuna prunes by one objective alone; its Gaussian process learns from whole trials
    if config.sampler == "grid":
        sizes = [len(knob.choices) for knob in search.knobs.values()]
        check_runs([*sizes, len(search.splits), len(search.seeds)], config.max_runs, "this sweep")
        grid(search.knobs)
    rewired = "" if search.choices["rewiring"] == "none" else f"-{search.choices['rewiring']}"
    name = config.study_name or f"{search.pair}-d{search.config.depth}{rewired}"
    if not re.fullmatch(r"\w[\w.+-]*", name):  # it names a file and is part of MLflow's filters
        raise UserError(f"study_name must be made of letters, digits and . _ + -, got {name}")
    return name, search, config


def listing(name: str, search: Search, config: DictConfig) -> str:
    """What would be searched."""
    runs = f"{len(search.splits)} {'splits' if len(search.splits) > 1 else 'split'} x {len(search.seeds)} seeds"
    rows = [f"sweep {name}: {config.trials} trials of {runs}, {', '.join(search.objectives)}, sampler {config.sampler}"]
    for key, knob in search.knobs.items():
        usual = OmegaConf.select(search.config, key)
        outside = "" if knob.holds(usual) else f", {usual} is outside"
        rows.append(f"  {key}: {knob} (starts from {search.start[key]}{outside})")
    return "\n".join(map(printable, rows))


def _splits(axes: list[str]) -> list[dict[str, Any]]:
    """The splits that were typed, with the seeds of random ones."""
    values = values_of(axes)
    if "split" not in values and "split_seed" in values:
        raise UserError("split_seed is of random splits alone: add split=random")
    seeds = values.get("split_seed", [])
    if seeds and values["split"] != ["random"]:
        raise UserError("split_seed is of random splits alone: add split=random")
    if any(not seed.isdigit() for seed in seeds):
        raise UserError(f"split_seed must be whole numbers, got {', '.join(seeds)}")
    if seeds:
        return [{"split": "random", "split_seed": int(seed)} for seed in seeds]
    return [{"split": int(split) if split.isdigit() else split} for split in values.get("split", [])]


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _compose(own: list[str], model: str) -> DictConfig:
    """The sweep's own settings, validated; the space is that of the model where there is one."""
    named = any(_key(override) == "sweep" for override in own)
    usual = [f"sweep={model}"] if not named and config_file("sweep", model).is_file() else []
    config, _ = compose("sweep", [*usual, *own])
    check_limits(config, SWEEP_KNOBS)
    return config


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)

"""`depthlab study`: a grid of runs along depth, side by side, resumable.

    depthlab study                                  the small default study, conf/study/quick.yaml
    depthlab study study=cora dry=true              what a study would run, and for how long
    depthlab study model=gcn,gcnii depth=2,8,32 "seed=range(3)" p_drop=0,0.2

Every setting of `depthlab train` can be given, with one value or several. Settings of the study itself:
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depthlab.cli import guarded
from depthlab.config.command_line import for_hydra
from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.config.files import config_file, option_names
from depthlab.config.limits import check_text
from depthlab.config.provenance import untuned
from depthlab.config.schema import STUDY_LIMITS
from depthlab.config.settings import EXECUTION_SETTINGS
from depthlab.config.validation import check_limits
from depthlab.data.raw import check
from depthlab.folders import relative
from depthlab.lean import may_be_lean
from depthlab.parallel import preload
from depthlab.study.grid import AXES, PlannedRun, expand
from depthlab.tracking.store import check_store, store_uri
from depthlab.training.replica_settings import check_replicas

OWN = {key.split(".")[0] for key in STUDY_LIMITS}
PARTS = ("methods", "graphs", "grid", "animation")  # of a study's yaml
RENAMED = {"lines": "methods", "film": "animation"}  # former names in a study's yaml


def main() -> None:
    """Compose and check all runs, then import the heavy libraries and start them."""
    typed = [word for word in for_hydra(sys.argv[1:]) if word not in ("-m", "--multirun")]  # a study is one anyway
    if {"-h", "--help"}.intersection(typed):
        print(__doc__ + "\n" + config_file("", "study").read_text().partition("_self_\n")[2].partition("\nhydra:")[0])
        return
    config, runs = planned(typed)
    if config.dry:
        from depthlab.study.dry import list_runs

        print(list_runs(config.name, runs, config))
        return
    if config.backend == "processes" and config.jobs != 1 and all(may_be_lean(run.settings) for run in runs):
        preload()
    from depthlab.study.run import run_study

    sys.exit(0 if run_study(config.name, runs, config) else 1)


def planned(typed: Sequence[str]) -> tuple[DictConfig, list[PlannedRun]]:
    """The settings of a study as in conf/study.yaml, and its runs, after all checks that need no heavy library.

    Args:
        typed: words of the command line, as `for_hydra` returns them.

    Raises:
        UserError: a setting is not allowed, the data do not exist, or the store cannot be used.
    """
    own = {override for override in typed if _key(override) in OWN}
    other = [override for override in typed if override not in own]
    config = _compose(sorted(own), {_key(override) for override in other})
    content = checked(config.study)
    if not content["methods"] and not any(_key(override) == "model" for override in other):
        raise UserError("the study has no methods: type the models, model=gcn,gcnii, or write methods into its yaml")
    runs = expand(content["methods"], content["grid"], content["animation"], other, content["graphs"], config.max_runs)
    if config.only is not None:
        labels = list(dict.fromkeys(run.method for run in runs))
        unknown = sorted(set(config.only).difference(labels))
        if unknown or not config.only:
            what = f"there is no method {unknown[0]}" if unknown else "only holds no method"
            raise UserError(f"{what}: choose from {', '.join(labels)}")
    if any(run.settings.trainer.strategy == "ddp" for run in runs):
        raise UserError("the runs of a study have one process each: leave trainer=ddp out, jobs=2 trains two at a time")
    if not runs[0].settings.in_mlflow:
        raise UserError("a study is read back from MLflow: add mlflow to logger, such as 'logger=[mlflow,csv]'")
    uri = store_uri(runs[0].settings.tracking.uri)
    check_store(uri)
    for settings in {str(run.settings.dataset): run.settings.dataset for run in runs}.values():
        check(settings)
    for notice in sorted({notice for run in runs if (notice := untuned(run.settings, run.provenance))}):
        print(notice, file=sys.stderr)
    tracking: dict[str, Any] = {"uri": uri}
    if not any(_key(override) == "tracking.artifacts" for override in other):
        tracking["artifacts"] = ["config"]  # figures and weights of a thousand runs would fill a disk
    runs = [replace(run, settings=run.settings.with_tracking(**tracking)) for run in runs]
    return config, runs


def checked(study: DictConfig) -> dict[str, dict[str, Any]]:
    """The content of conf/study/NAME.yaml: `methods`, `graphs`, `grid` and `animation`, each of them optional.

    Raises:
        UserError: it holds something else.
    """
    given: Any = OmegaConf.to_container(study)
    content: dict[str, Any] = {part: {} for part in PARTS} | given
    _check_keys("a study", content, PARTS)
    for part, settings in content.items():
        if not isinstance(settings, dict):
            raise UserError(f"{part} of a study must hold key: value, got {settings}")
    for part in ("methods", "graphs"):
        for label, text in content[part].items():
            texts = text if part == "graphs" and isinstance(text, list) and text else [text]
            if not isinstance(label, str) or not all(isinstance(one, str) for one in texts):
                raise UserError(
                    f"{part} of a study must be LABEL: settings as on the command line, got {label}: {text}"
                )
            if not label:
                raise UserError(f"{part} of a study must be LABEL: settings, got an empty label")
            check_text(f"the label of {part} of a study", label)
    _check_keys("animation of a study", content["animation"], (*AXES, "methods"))
    for key in content["animation"]:
        value, is_list = content["animation"][key], key == "methods"
        if not isinstance(value, list if is_list else int | str):
            raise UserError(f"{key} of animation must be {'a list of labels' if is_list else 'one value'}, got {value}")
    for label in content["animation"].get("methods", []):
        if label not in content["methods"]:
            raise UserError(f"animation names the unknown method {label}: choose from {', '.join(content['methods'])}")
    return content


def _check_keys(what: str, keys: Iterable[str], allowed: Sequence[str]) -> None:
    for key in keys:
        if key in RENAMED:
            raise UserError(f"{what} has no {key}: write {RENAMED[key]} instead")
        if key not in allowed:
            raise UserError(f"{what} has no {key}: choose from {', '.join(allowed)}")


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _compose(own: list[str], other: set[str]) -> DictConfig:
    """The study's own settings, validated. Models that are typed replace the default study's methods.

    A study that was changed by what was typed gets a name of its own: the records of the unchanged study stay.
    """
    named = any(_key(override) == "study" for override in own)
    grid = [] if named or "model" not in other else ["study=custom"]
    config, choices = compose("study", [*grid, *own])
    changed = any(key.split(".")[0] not in EXECUTION_SETTINGS for key in other)
    choice = choices["study"]
    choice = choice if not changed else f"{choice}-custom" if named else "custom"
    check_limits(config, STUDY_LIMITS)
    check_replicas(config.replicas)
    if changed and config.name in option_names("study"):
        raise UserError(
            f"name={config.name} is that of {relative(config_file('study', config.name))}: give a changed grid another"
        )
    config.name = config.name or choice
    if not re.fullmatch(r"\w[\w.+-]*", config.name):  # it names a folder and is part of MLflow's filters
        raise UserError(f"name must be made of letters, digits and . _ + -, got {config.name}")
    return config


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)

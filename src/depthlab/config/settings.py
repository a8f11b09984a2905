"""From a composed config to plain settings: their hash, and where each value came from. Imports nothing heavy."""

import contextlib
import functools
import os
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depthlab.config.closure import digest
from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.config.files import config_dirs, config_file, option_names
from depthlab.config.options import is_option
from depthlab.config.schema import LIKE, OWN_KNOBS
from depthlab.config.validation import validate
from depthlab.config.yaml_files import read_mapping

# they do not change what is asked
NOT_THE_EXPERIMENT = (
    "ckpt", "progress", "tracking", "checkpoint_every", "memory", "trainer", "replicas", "replicate",
    "max_runs",
)  # fmt: skip
# Increase when a seed gives different masks (depthlab.ops): results of different schemes are different experiments.
RANDOM_NUMBERS = 1


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain types, without the limits.

    A number has the type of its default: `model.theta=1` is 1.0, so that the same experiment has one hash.
    """
    content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    for group in OWN_KNOBS:
        content[group].pop("limits", None)
        target = content[group].get("_target_")
        for key, value in content[group].items():
            kind = _numbers(group, config_dirs()).get((target, key))
            if kind and (type(value) is int or (type(value) is float and value.is_integer())):
                content[group][key] = kind(value)
    content["split"] = str(content["split"])
    for part, key in ((content, "ckpt"), (content["dataset"], "path")):
        if isinstance(path := part.get(key), str):
            part[key] = os.path.expanduser(path)  # noqa: PTH111, leaves an unknown user's ~ as it is
    return content


def rewiring_name(content: dict[str, Any]) -> str:
    """Which of conf/rewiring the settings hold: `none`, `fosr`, ...; `none` where they do not speak of it."""
    target = content.get("rewiring", {}).get("_target_")
    return next(name for name, other in _rewirings(config_dirs()).items() if other == target)


def loader_name(content: dict[str, Any]) -> str:
    """How a training step sees the graph: `full` or `cluster`; `full` where the settings do not speak of it."""
    return str(content.get("loader", {}).get("name", "full"))


@functools.cache
def _rewirings(folders: tuple[Path, ...]) -> dict[str, str | None]:
    """The function (`_target_`) of every rewiring option in these folders."""
    return {name: option["_target_"] for name, option in _options("rewiring")}


@functools.cache
def _numbers(group: str, folders: tuple[Path, ...]) -> dict[tuple[str | None, str], type]:
    """Whether the default of a numeric setting in these folders is int or float, by `_target_` and name."""
    options = [option for _, option in _options(group)]
    found = [((option.get("_target_"), key), type(value)) for option in options for key, value in option.items()]
    return {name: kind for wanted in (int, float) for name, kind in found if kind is wanted}


def _options(group: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and content of every option of a group; an unreadable one is reported only if it is chosen."""
    found = []
    for name in option_names(group):
        with contextlib.suppress(UserError):
            found.append((name, read_mapping(config_file(group, name))))
    return [(name, option) for name, option in found if is_option(group, option)]


def processes(trainer: dict[str, Any]) -> int:
    """How many train one network together; 1 where the settings do not speak of it."""
    return int(trainer.get("devices", 1) * trainer.get("num_nodes", 1))


def config_hash(content: dict[str, Any]) -> str:
    """Hash of all settings that can change a result: two runs with the same hash and data are the same experiment.

    The device counts: it changes random numbers and the order of summation.
    """
    return digest([resume_hash(content), content.get("trainer", {}).get("accelerator", "cpu"), RANDOM_NUMBERS])


def resume_hash(content: dict[str, Any]) -> str:
    """Hash of the settings that a resumed checkpoint has to share: as `config_hash`, but the same for any device.

    Of the trainer's settings only the precision and the number of shares of a batch count.
    """
    trainer = content.get("trainer", {})
    shared = {"precision": trainer.get("precision", "float32"), "processes": processes(trainer)}
    return digest({key: value for key, value in content.items() if key not in NOT_THE_EXPERIMENT} | shared)


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def provenance(content: dict[str, Any], choices: dict[str, str], overrides: list[str]) -> dict[str, str]:
    """For every setting `command line`, `recipe NAME`, `like NAME`, its group's option (`model gcnii`), or `default`.

    A default that stands for another setting (`${weight_decay}`) has that one's origin.
    """
    recipe = choices.get("recipe@_global_") or ""
    path = config_file("recipe", recipe)
    from_recipe = flatten(read_mapping(path)) if path.is_file() else {}
    defaults = flatten(read_mapping(config_file("", "config")))
    typed = {re.split(r"[=@]", override.lstrip("+~"))[0] for override in overrides}
    groups = {*OWN_KNOBS, "trainer"}

    def origin(key: str) -> str:
        if key in typed or any(key.startswith(f"{name}.") for name in typed - groups):
            return "command line"
        if key in from_recipe:
            return f"recipe {recipe}"
        reference = re.fullmatch(r"\$\{(.+)\}", str(defaults.get(key, "")))
        if reference:
            return origin(reference[1])
        group, _, name = key.partition(".")
        if group == "dataset" and name in LIKE and choices.get("like", "none") != "none":
            return f"like {choices['like']}"
        return f"{group} {choices.get(group)}" if group in groups else "default"

    chosen = {group: "command line" for group in (*sorted(groups), "recipe", "like") if group in typed}
    return chosen | {key: origin(key) for key in flatten(content)}


def untuned(content: dict[str, Any], origin: dict[str, str]) -> str | None:
    """The hint for a user's own graph that has neither a recipe nor settings for its features.

    Args:
        origin: as `provenance` gives it.
    """
    dataset = content["dataset"]
    chosen = any(source.startswith("recipe ") for source in origin.values())
    if "path" not in dataset or chosen or not origin.get("dataset.normalize_features", "").startswith("dataset "):
        return None
    return (
        f"dataset={dataset['name']} has no recipe, and its features are used as they are: like=NAME takes recipe,"
        " normalisation, task and metric from a named dataset, such as like=cornell;"
        " dataset.normalize_features=true divides the features of each node by their sum"
    )


def compose_config(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config that `depthlab train OVERRIDES` would use, validated, and the option of each config group."""
    config, choices = compose("config", overrides)
    validate(config, choices)
    return config, choices


def compose_settings(overrides: list[str]) -> dict[str, Any]:
    """The same as plain settings, for programs and tests."""
    return plain(compose_config(overrides)[0])

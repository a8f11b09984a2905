"""Parse a composed config into `Settings`, and hash settings to compare experiments. Imports nothing heavy."""

import contextlib
import functools
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depthlab import compiler
from depthlab.address import without_secrets
from depthlab.config.closure import digest, module_hash
from depthlab.config.errors import UserError
from depthlab.config.files import config_dirs, config_file, option_names
from depthlab.config.option_types import Option
from depthlab.config.options import is_option
from depthlab.config.schema import (
    LIST_GROUPS,
    OPTION_GROUPS,
    DropEdgeSettings,
    Settings,
    TrackingSettings,
    TrainerSettings,
)
from depthlab.config.yaml_files import read_mapping

# settings of the execution of a run: they do not change the experiment
EXECUTION_SETTINGS = (
    "ckpt", "progress", "tracking", "checkpoint_every", "memory", "trainer", "replicas", "replicate",
    "max_runs", "logger",
)  # fmt: skip
# Increase when a seed gives different masks (depthlab.ops): results of different schemes are different experiments.
RANDOM_NUMBERS = 1
NAMED_IN_YAML = ("dataset", "loader")  # groups whose options have their name as a setting


def parse(config: DictConfig, choices: Mapping[str, str]) -> Settings:
    """The settings of a composed and validated config.

    A number has the type of its default: `model.theta=1` is 1.0, so that the same experiment has one hash.

    Args:
        choices: the option of each config group (`hydra.runtime.choices`).
    """
    content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    options: dict[str, Any] = {group: make_option(group, choices[group], content[group]) for group in OPTION_GROUPS}
    for group in LIST_GROUPS:
        options[group] = {name: _listed(name, entry) for name, entry in (content[group] or {}).items()}
    parts: dict[str, Any] = {
        "split": str(content["split"]),
        "ckpt": _expanded(content["ckpt"]),
        "drop_edge": DropEdgeSettings(**content["drop_edge"]),
        "trainer": TrainerSettings(**content["trainer"]),
        "tracking": TrackingSettings(**content["tracking"]),
    }
    return Settings(**content | options | parts)


def make_option(group: str, name: str, content: Mapping[str, Any]) -> Any:
    """An option of a config group, of the type in `OPTION_GROUPS`.

    Args:
        name: name of its yaml file. For a dataset or a loader, `content` may hold the name; the default for a dataset
            is the name of its file. In other groups `name` in `content` is an argument.
        content: the content of its yaml.
    """
    kind, target = OPTION_GROUPS[group], content.get("_target_")
    names = {field.name for field in fields(kind)} - {"target", "arguments"}
    if group not in NAMED_IN_YAML:
        names.remove("name")
    names.discard("option")
    numbers = _numbers(group, config_dirs())
    own: dict[str, Any] = {"name": name}
    arguments = {}
    for key, value in content.items():
        number = numbers.get((target, key))
        if number and (type(value) is int or (type(value) is float and value.is_integer())):
            value = number(value)
        if key in names:
            own[key] = _expanded(value) if key == "path" else value
        elif key not in ("_target_", "limits"):
            arguments[key] = value
    if group == "dataset":
        own |= {"option": name, "name": own.get("name") or _name_of_file(own.get("path"), name)}
    options: Any = kind  # the fields of the subclasses differ
    return options(target=target, arguments=arguments, **own)


def _listed(name: str, content: Mapping[str, Any]) -> Option:
    """An entry of a group in `LIST_GROUPS`."""
    arguments = {key: value for key, value in content.items() if key != "_target_"}
    return Option(name=name, target=content["_target_"], arguments=arguments)


def option_dict(group: str, option: Option) -> dict[str, Any]:
    """The option as in its yaml, without the limits."""
    content = {field.name: getattr(option, field.name) for field in fields(option) if field.name != "option"}
    target, arguments = content.pop("target"), content.pop("arguments")
    if group not in NAMED_IN_YAML:
        del content["name"]
    known = {key: value for key, value in content.items() if value is not None}
    return known | dict(arguments) | ({} if group == "loader" else {"_target_": target})


def to_dict(settings: Settings) -> dict[str, Any]:
    """The settings as plain types, with the names of conf/, and without the secrets of loggers."""
    options: dict[str, Any] = {group: option_dict(group, getattr(settings, group)) for group in OPTION_GROUPS}
    for group in LIST_GROUPS:
        chosen: dict[str, Option] = getattr(settings, group)
        options[group] = {name: {"_target_": one.target} | dict(one.arguments) for name, one in chosen.items()}
    options["logger"] = without_secrets("logger", options["logger"])
    others = (entry.name for entry in fields(settings) if entry.name not in options)
    parts = {name: getattr(settings, name) for name in others}
    for name in ("drop_edge", "trainer", "tracking"):
        parts[name] = asdict(parts[name])
    return parts | options


def from_dict(content: Mapping[str, Any], names: Mapping[str, str], usual: Settings) -> Settings:
    """The settings that `to_dict` wrote, perhaps with an earlier version of the program.

    Args:
        content: as `to_dict` returns it.
        names: the option of each config group; unknown ones are named after their `_target_`.
        usual: has the settings that are not in `content`, since they were added later.
    """
    parts: dict[str, Any] = {}
    for entry in fields(Settings):
        default = getattr(usual, entry.name)
        value = content.get(entry.name, default)
        if entry.name in OPTION_GROUPS.keys() & content.keys():
            target = str(value.get("_target_") or "none").rpartition(".")[2].lower()
            value = make_option(entry.name, names.get(entry.name, target), value)
        elif entry.name in LIST_GROUPS:
            value = {name: _listed(name, one) for name, one in content.get(entry.name, {}).items()} or default
        elif isinstance(value, Mapping):
            known = {field.name for field in fields(default)}
            value = replace(default, **{key: own for key, own in value.items() if key in known})
        parts[entry.name] = value
    return Settings(**parts)


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def config_hash(settings: Settings, without: Collection[str] = ()) -> str:
    """Hash of all settings that can change a result: two runs with the same hash and data are the same experiment.

    The device counts: it changes random numbers and the order of summation. So do compiled layers, which draw masks of
    their own; they count for every network that may have them, also where a norm or biases leave it to torch.

    Args:
        without: dotted names of settings to leave out.
    """
    device = settings.trainer.accelerator
    compiled = device == "cpu" and compiler.path_taken(settings.targets) not in (None, "plain")
    own = ["compiled"] if compiled else []
    return digest([resume_hash(settings, without), device, RANDOM_NUMBERS, *own])


def resume_hash(settings: Settings, without: Collection[str] = ()) -> str:
    """Hash of the settings that must agree with a resumed checkpoint: as `config_hash`, but independent of the device.

    Of the trainer's settings only the precision and the number of processes, which share out a batch, count. The code
    of an external module (model=module) counts like a setting: after an edit it is another experiment.

    Args:
        without: as for `config_hash`.
    """
    content = {key: value for key, value in to_dict(settings).items() if key not in EXECUTION_SETTINGS}
    if settings.model.module:
        content["module_hash"] = module_hash(settings.model.module)
    for name in without:
        content = _without(content, name.split("."))
    return digest(content | {"precision": settings.trainer.precision, "processes": settings.trainer.processes})


def _without(content: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """A copy without one setting; `content` may share its groups with the settings."""
    key, *inner = path
    return content | {key: _without(content[key], inner)} if inner else {k: v for k, v in content.items() if k != key}


def _name_of_file(path: str | None, option: str) -> str:
    """The name of the user's own graph: its file or folder, prefixed by the option if a dataset has that name."""
    stem = Path(os.path.expanduser(path)).resolve().name.partition(".")[0] if path else ""  # noqa: PTH111
    name = re.sub(r"[^\w+-]+", "-", stem).strip("-")
    return f"{option}-{name}" if name in option_names("dataset") and name != option else name or option


def _expanded(path: str | None) -> str | None:
    return path and os.path.expanduser(path)  # noqa: PTH111, leaves an unknown user's ~ as it is


@functools.cache
def _numbers(group: str, folders: tuple[Path, ...]) -> dict[tuple[str | None, str], type]:
    """Whether the default of a numeric setting in these folders is int or float, by `_target_` and name."""
    options = []
    for name in option_names(group):
        with contextlib.suppress(UserError):  # an unreadable yaml is reported only if it is chosen
            options.append(read_mapping(config_file(group, name)))
    defaults = [
        ((option.get("_target_"), key), type(value))
        for option in options
        if is_option(group, option)
        for key, value in option.items()
    ]
    return {name: kind for wanted in (int, float) for name, kind in defaults if kind is wanted}

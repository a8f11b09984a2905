"""Checks of an option's yaml file (conf/model/gcn.yaml) and of the values of its settings.

Imports nothing heavy.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from omegaconf import Container, OmegaConf

from depthlab.config.errors import UserError
from depthlab.config.files import config_file
from depthlab.config.limits import Limit, check_text, is_limit, shown, within
from depthlab.config.yaml_files import kind, read_mapping
from depthlab.folders import relative


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


_is_name = _matches(r"\w[\w.+-]*")
Form = tuple[str, Callable[[Any], bool]]
ANYWHERE: dict[str, Form] = {
    "_target_": ("MODULE.NAME of a class or function", _matches(r"[^\W\d]\w*(\.[^\W\d]\w*)+")),
    "limits": (
        'a mapping of settings to intervals such as "[0, 1)" or to lists',
        lambda value: isinstance(value, dict),
    ),
}
WORD = ("a word of letters, digits and . _ + -", _is_name)
# Settings of a group that the package itself reads: their allowed values, in words and as a test. Other settings are
# arguments of the class or function, under any name.
FORMS: dict[str, dict[str, Form]] = {
    "dataset": {
        "name": (WORD[0], lambda value: value is None or _is_name(value)),
        "files": ("a list of paths below data/", _are_words),
        "path_files": ("a list of file names", _are_words),
        "splits": (
            "a whole number, or a list of names",
            lambda value: (type(value) is int and value >= 0) or (_are_words(value) and value != []),
        ),
        "task": ("a word", _matches(r"\w+")),
        "metric": ("a word", _matches(r"\w+")),
        "normalize_features": ("true or false", lambda value: type(value) is bool),
        "mapped": ("true or false", lambda value: type(value) is bool),
        "path": ("a path or null", lambda value: value is None or isinstance(value, str)),
        "batch_size": ("a whole number above 0", lambda value: value is None or (type(value) is int and value > 0)),
        "pooling": ("mean, sum, max or none", lambda value: value in ("mean", "sum", "max", "none")),
    },
    "rewiring": {"layers": ("all or last", lambda value: value in ("all", "last"))},
    "loader": {"name": WORD},
}
# Settings that only a new yaml file can change; `_target_` is another one.
FIXED = {"dataset": ("name", "files", "path_files", "splits", "hash_tensors"), "loader": ("name",)}
NEEDED = {
    "model": ["_target_"],
    "dataset": ["name", "_target_", "splits", "split", "task", "metric"],
    "rewiring": ["_target_"],
    "loader": ["name"],
    "optimizer": ["_target_"],
    "lr_scheduler": ["_target_"],
}
OPTIONAL_TARGET = ("rewiring", "lr_scheduler")  # groups with an option without a class


def read_option(group: str, name: str) -> dict[str, Any]:
    """The content of an option's yaml file.

    Raises:
        UserError: the file cannot be read, or its content is not valid.
    """
    path = config_file(group, name)
    content = read_mapping(path)
    if problem := _problem(group, content):
        raise UserError(f"{relative(path)} {problem}: correct it, or choose another {group}")
    return content


def is_option(group: str, content: dict[str, Any]) -> bool:
    """Whether this is valid content for the yaml of an option of this group."""
    return _problem(group, content) is None


def _problem(group: str, content: dict[str, Any]) -> str | None:
    needed = list(NEEDED[group])
    if group == "rewiring" and content.get("_target_"):
        needed += ["layers", "seed"]
    if group == "loader" and content.get("name") == "cluster":
        needed += ["parts", "batch_parts"]
    for key in needed:
        if key not in content:
            return f"must hold settings as key: value, among them {key}"
    for key, (form, fits) in (ANYWHERE | FORMS.get(group, {})).items():
        unset = group in OPTIONAL_TARGET and key == "_target_" and content.get(key) is None
        if key in content and not unset and not fits(content[key]):
            return f"is wrong: {key} must be {form}, got {kind(content[key])}"
    known = _names(content)
    for key, limit in content.get("limits", {}).items():
        if key not in known:
            return f"is wrong: it limits {key}, which it does not set"
        if not is_limit(limit):
            return f'is wrong: limits.{key} must be an interval such as "[0, 1)" or a list, got {kind(limit)}'
    return None


def _names(content: dict[str, Any]) -> set[str]:
    """Names of all settings, also nested ones."""
    inner = [_names(value) for key, value in content.items() if isinstance(value, dict) and key != "limits"]
    return set(content).union(*inner)


def check_values(prefix: str, values: Any, option: dict[str, Any], limits: dict[str, Limit] | None = None) -> None:
    """Check the settings of a group against its yaml: the same type, within its limits.

    Args:
        prefix: the group.
        values: the composed settings.
        option: the content of the yaml.
        limits: of all settings, by default those in the yaml.

    Raises:
        UserError: a setting is not allowed; the first one is named.
    """
    limits = limits if limits is not None else option.get("limits", {})
    if not isinstance(values, dict):
        raise UserError(f"{prefix} must be the name of an option, got {kind(values)}")
    for key in option.keys() - values.keys() - {"limits"}:
        raise UserError(f"{prefix}.{key} cannot be removed: set it")
    for key, value in values.items():
        if key == "limits" and value == option.get(key):
            continue
        if key not in option or key == "limits":
            raise UserError(f"there is no setting {prefix}.{key}: choose one of {', '.join(_own_keys(prefix, option))}")
        if key == "name" and prefix == "dataset" and option[key] is None:  # of the user's own graph
            if value is not None and not _is_name(value):
                raise UserError(f"{prefix}.{key} must be {WORD[0]}, got {shown(value)}")
            continue
        if key in ("_target_", *FIXED.get(prefix, ())) and value != option[key]:
            raise UserError(f"{prefix}.{key} cannot be changed: write a new yaml file in conf/{prefix}")
        if isinstance(option[key], dict):
            if not isinstance(value, dict):
                raise UserError(f"{prefix}.{key} is a group of settings: set one of them")
            if option[key]:  # an empty one takes any settings
                check_values(f"{prefix}.{key}", value, option[key], limits)
            continue
        check_text(f"{prefix}.{key}", value)
        if allowed := _refusal(f"{prefix}.{key}", value, option[key], limits.get(key)):
            raise UserError(f"{prefix}.{key} must be {allowed}, got {shown(value)}")


def check_list(group: str, entries: Any) -> None:
    """Check the entries of a group that allows several options; each must name a class.

    Raises:
        UserError: an entry is not a mapping with `_target_`.
    """
    form, fits = ANYWHERE["_target_"]
    plain = OmegaConf.to_container(entries, resolve=True) if isinstance(entries, Container) else entries or {}
    for name, entry in plain.items() if isinstance(plain, dict) else [("", plain)]:
        where = f"{group}.{name!s}" if name else group
        if not isinstance(entry, dict):
            raise UserError(f"{where} must be a mapping with _target_, got {kind(entry)}: see conf/{group}")
        if not fits(entry.get("_target_")):
            raise UserError(f"{where}._target_ must be {form}, got {kind(entry.get('_target_'))}")


def _refusal(key: str, value: Any, default: Any, limit: Limit) -> str | None:
    """The allowed values in words if this value is not allowed, else None."""
    if value is None and default is None:
        return None
    if isinstance(limit, list) and not within(value, limit):
        return f"one of {', '.join(map(str, limit))}"
    if isinstance(limit, str) and not within(value, limit):
        return f"{'a whole number' if type(default) is int else 'a number'} in {limit}"
    if type(default) is bool and type(value) is not bool:
        return "true or false"
    if type(default) is int and type(value) is not int:
        return "a whole number"
    if type(default) is float and (type(value) not in (int, float) or (limit is None and not math.isfinite(value))):
        return "a number"
    if isinstance(default, list) and not isinstance(value, list):
        return "a list"
    is_word = type(default) is str and not default.startswith("${")
    if (is_word or key == "dataset.path") and value is not None and not isinstance(value, str):
        return "a word"
    return None


def _own_keys(prefix: str, option: dict[str, Any]) -> list[str]:
    return [f"{prefix}.{key}" for key in option if key not in ("limits", "_target_")] or ["none"]

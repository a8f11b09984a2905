"""Where the value of each setting came from. Imports nothing heavy."""

import re
from collections.abc import Mapping

from depthlab.config.files import config_file
from depthlab.config.schema import LIKE, LIST_GROUPS, OPTION_GROUPS, Settings
from depthlab.config.settings import flatten, to_dict
from depthlab.config.yaml_files import read_mapping


def provenance(settings: Settings, choices: Mapping[str, str], overrides: list[str]) -> dict[str, str]:
    """For every setting `command line`, `recipe NAME`, `like NAME`, its group's option (`model gcnii`), or `default`.

    A default that refers to another setting (`${weight_decay}`) has the provenance of that setting.
    """
    recipe = choices.get("recipe@_global_") or ""
    path = config_file("recipe", recipe)
    from_recipe = flatten(read_mapping(path)) if path.is_file() else {}
    defaults = flatten(read_mapping(config_file("", "config")))
    overridden = {re.split(r"[=@]", override.lstrip("+~"))[0] for override in overrides}
    groups = {*OPTION_GROUPS, *LIST_GROUPS, "trainer"}

    def source(key: str) -> str:
        if key in overridden or any(key.startswith(f"{name}.") for name in overridden - groups):
            return "command line"
        if key in from_recipe:
            return f"recipe {recipe}"
        reference = re.fullmatch(r"\$\{(.+)\}", str(defaults.get(key, "")))
        if reference:
            return source(reference[1])
        group, _, name = key.partition(".")
        if group == "dataset" and name in LIKE and choices.get("like", "none") != "none":
            return f"like {choices['like']}"
        return f"{group} {choices.get(group)}" if group in groups else "default"

    chosen = {group: "command line" for group in (*sorted(groups), "recipe", "like") if group in overridden}
    return chosen | {key: source(key) for key in flatten(to_dict(settings))}


def untuned(settings: Settings, provenance: Mapping[str, str]) -> str | None:
    """The hint for a user's own graph that has neither a recipe nor settings for its features.

    Args:
        provenance: as returned by `provenance`.
    """
    has_recipe = any(source.startswith("recipe ") for source in provenance.values())
    is_default = provenance.get("dataset.normalize_features", "").startswith("dataset ")
    if not settings.dataset.is_own or has_recipe or not is_default:
        return None
    return (
        f"{settings.dataset.name} has no recipe, and its features are used as they are: like=NAME takes recipe,"
        " normalisation, task and metric from a named dataset, such as like=cornell;"
        " dataset.normalize_features=true divides the features of each node by their sum"
    )

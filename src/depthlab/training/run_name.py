"""The name of a run: dataset, model, depth, seed, and settings that differ from the defaults. Imports nothing heavy."""

import functools
import hashlib
from typing import Any

from omegaconf import OmegaConf

from depthlab.config.compose import register
from depthlab.config.files import config_file, option_names
from depthlab.config.schema import OPTION_GROUPS, Settings
from depthlab.config.settings import EXECUTION_SETTINGS, flatten, to_dict
from depthlab.config.yaml_files import read_mapping
from depthlab.text import file_name

LENGTH = 60  # characters of the differences; longer names are cut and end in a hash
USUAL = {"rewiring": "none", "loader": "full", "optimizer": "adam", "lr_scheduler": "none"}  # omitted in the base name
UNNAMED = {  # settings that are in the base name, or that change no result
    "depth", "seed", "split", "split_seed", "dataset.name", "dataset.path", "dataset.split", "dataset.data_hash",
    "dataset.trust_downloads", "measures", "trainer.threads", "model.target",
}  # fmt: skip


def _base(settings: Settings) -> str:
    """`cora-gcnii-d64-s0`, with the split unless it is the public one, and the options that are not defaults."""
    split = settings.split
    suffix = "" if split == "public" else f"-random{settings.split_seed}" if split == "random" else f"-split{split}"
    chosen = {group: getattr(settings, group).name for group in USUAL}
    suffix += "".join(f"-{name}" for group, name in chosen.items() if name != USUAL[group])
    suffix += "".join(f"-{name}" for name in settings.callbacks)
    return f"{settings.dataset.label}-{settings.model.label}-d{settings.depth}-s{settings.seed}{suffix}"


def run_name(settings: Settings, with_trainer: bool = True) -> str:
    """`cora-gcn-d8-s0-pdrop0.2`: the base name, and the settings that differ from those of `dataset=cora model=gcn`.

    The differences are in alphabetical order; settings that change no result are left out.
    """
    names = {group: getattr(settings, group).name for group in OPTION_GROUPS}
    usual = _defaults(**names | {"dataset": settings.dataset.option or settings.dataset.name})
    for name in settings.callbacks:
        usual = usual | flatten({"callbacks": _option("callbacks", name)})
    base = _base(settings)
    differences = [
        f"{key.rpartition('.')[2].replace('_', '')}{_shown(value)}"
        for key, value in sorted(flatten(to_dict(settings)).items())
        if _is_named(key, with_trainer) and (key in usual or _is_argument(key, value)) and usual.get(key) != value
    ]
    name = "-".join([base, *differences])
    if len(name) > len(base) + LENGTH:
        name = f"{name[: len(base) + LENGTH - 7].rpartition('-')[0]}-{hashlib.md5(name.encode()).hexdigest()[:6]}"
    return file_name(name)


def _is_named(key: str, with_trainer: bool) -> bool:
    group = key.partition(".")[0]
    return key not in UNNAMED and ((group == "trainer" and with_trainer) or group not in EXECUTION_SETTINGS)


def _is_argument(key: str, value: Any) -> bool:
    """Whether this is an argument of an external class; string arguments of a dataset are in its label."""
    if key.startswith("dataset.args."):
        return not isinstance(value, str)
    return key.startswith("model.args.") or (key.startswith("callbacks.") and not key.endswith("._target_"))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _defaults(**options: str) -> dict[str, Any]:
    """The flat settings of these options with the default recipe; options without a yaml add nothing."""
    register()  # resolvers that the yaml files use
    options["trainer"] = "cpu"
    content = read_mapping(config_file("", "config"))
    usual = dict(option for group in content.pop("defaults") if isinstance(group, dict) for option in group.items())
    recipe = _option(f"recipe/{usual['recipe']}", f"{options['dataset']}-{options['model']}")
    del content["split"]  # refers to the dataset, which may have no yaml
    del content["hydra"]  # uses a resolver that only Hydra's own start registers
    parts = [content, {group: _option(group, name) for group, name in options.items()}, recipe]
    flat: Any = OmegaConf.to_container(OmegaConf.merge(*parts), resolve=True)
    return flatten(flat)


def _option(group: str, name: str) -> dict[str, Any]:
    content = read_mapping(config_file(group, name)) if name in option_names(group) else {}
    return {key: value for key, value in content.items() if key not in ("limits", "_target_")}

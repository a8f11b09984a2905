"""What a person may set: types and allowed values. Imports nothing heavy."""

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from src.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
Limit = str | list[Any] | None


def knob(limit: Limit = None) -> Any:
    """A setting without a default (defaults stand in conf/): an interval such as "[0, 1)", a list, or None."""
    return field(default=MISSING, metadata={"limit": limit})


@dataclass
class DropEdgeConfig:
    mode: str = knob(["renormalize", "rescale"])
    per_layer: bool = knob()


@dataclass
class TrackingConfig:
    uri: str | None = knob()
    experiment: str = knob()
    artifacts: list[str] = knob()


@dataclass
class TrainerConfig:
    accelerator: str = knob(["cpu"])
    threads: int | None = knob("[1, inf)")


@dataclass
class Config:
    """Types and limits of conf/config.yaml; what each setting means is said there."""

    model: Any = knob()
    dataset: Any = knob()
    depth: int = knob("[1, inf)")
    seed: int = knob("[0, 4294967295]")
    split: Any = knob()
    split_seed: int = knob("[0, 4294967295]")
    p_drop: float = knob("[0, 1)")
    drop_edge: DropEdgeConfig = field(default_factory=DropEdgeConfig)
    dropout: float = knob("[0, 1)")
    norm: str = knob(["none", "batch", "layer", "pair"])
    hidden: int = knob("[1, inf)")
    lr: float = knob("(0, inf)")
    weight_decay: float = knob("[0, inf)")
    weight_decay_linear: float = knob("[0, inf)")
    epochs: int = knob("[1, inf)")
    patience: int = knob("[1, inf)")
    monitor: str = knob(["val_loss", "val_acc", "val_roc_auc"])
    measures: list[str] = knob()
    ckpt: str | None = knob()
    checkpoint_every: int = knob("[1, inf)")
    progress: bool = knob()
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass
class StudyConfig:
    """Types and limits of conf/study.yaml; what each setting means is said there."""

    study: Any = knob()
    name: str | None = knob()
    jobs: int | None = knob("[1, inf)")
    backend: str = knob(["processes", "dask"])
    scheduler: str | None = knob()
    only: list[str] | None = knob()
    reuse: str = knob(["any_code", "same_code"])
    dry: bool = knob()


FIXED = ("_target_", "name", "files", "splits")  # what an option of a group is: another one is another yaml
METRICS = ("accuracy", "roc_auc")
LISTED = {  # settings that hold a list of these
    "measures": [
        "dirichlet_energy", "dirichlet_energy_normalized", "rayleigh_quotient",
        "mean_average_distance", "effective_rank", "stable_rank", "max_abs",
    ],
    "tracking.artifacts": ["config", "figures", "model", "states"],
}  # fmt: skip


def register_schema() -> None:
    """Make the schemas known to Hydra under the names that conf/config.yaml and conf/study.yaml begin with."""
    ConfigStore.instance().store(name="schema", node=Config)
    ConfigStore.instance().store(name="study_schema", node=StudyConfig)


def _schema_limits(schema: type, prefix: str = "") -> dict[str, tuple[Any, Limit]]:
    found: dict[str, tuple[Any, Limit]] = {}
    for entry in fields(schema):
        if isinstance(entry.type, type) and entry.type.__name__.endswith("Config"):
            found |= _schema_limits(entry.type, f"{prefix}{entry.name}.")
        else:
            found[prefix + entry.name] = (entry.type, entry.metadata["limit"])
    return found


KNOBS = _schema_limits(Config)
STUDY_KNOBS = _schema_limits(StudyConfig)


def allowed_values(key: str) -> str:
    """What a setting of the schema may be, in words."""
    known = KNOBS | STUDY_KNOBS
    if key not in known:
        return f"set by its parts, {', '.join(name for name in known if name.startswith(key + '.'))}"
    kind, limit = known[key]
    if isinstance(limit, list):
        return f"one of {', '.join(map(str, limit))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    optional = {int | None: "a whole number or null", str | None: "a word or null"}
    name = words.get(kind) or optional.get(kind) or "a list of words" if kind != Any else "a valid value"
    return f"{name} in {limit}" if limit else str(name)


def validate(config: DictConfig, choices: dict[str, str]) -> None:
    """Check every range, every option and the types of the model's and dataset's own settings.

    Args:
        config: the composed config.
        choices: which option each config group has (`hydra.runtime.choices`).

    Raises:
        UserError: the first setting that is not allowed, with what would be.
    """
    for group in ("model", "dataset", "trainer", "recipe"):
        if not (CONF / group / f"{choices[group]}.yaml").is_file() or "/" in choices[group]:
            available = ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))
            raise UserError(f"there is no {group} {choices[group]}: choose one of {available}")
    for key in _names(config):
        if key not in KNOBS:
            raise UserError(f"there is no setting {key}: `python -m src.train --help` lists them")
    check_limits(config, KNOBS)
    for key, options in LISTED.items():
        for value in OmegaConf.select(config, key):
            if value not in options:
                raise UserError(f"{key} must be a list of {', '.join(options)}, got {value}")
    for group in ("model", "dataset"):
        original = yaml.safe_load((CONF / group / f"{choices[group]}.yaml").read_text())
        _check_own(group, OmegaConf.to_container(config[group], resolve=True), original)
    _check_dataset(config)


def check_limits(config: DictConfig, knobs: dict[str, tuple[Any, Limit]]) -> None:
    """Raise UserError for the first of `knobs` that is not set or out of its range."""
    for key, (kind, limit) in knobs.items():
        value = OmegaConf.select(config, key)
        if value is None and kind in (int, float, bool, str, list[str]):
            raise UserError(f"{key} cannot be removed: set it")
        if value is not None and limit is not None and not _within(value, limit):
            raise UserError(f"{key} must be {allowed_values(key)}, got {value}")


def _names(config: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of all settings; the model's and the dataset's own are not listed."""
    names: list[str] = []
    for key in map(str, config):
        node = config._get_node(key)
        if isinstance(node, DictConfig) and prefix + key not in KNOBS and prefix + key != "hydra":
            names += _names(node, f"{prefix}{key}.")
        elif prefix + key != "hydra":
            names.append(prefix + key)
    return names


def _check_own(prefix: str, values: Any, original: dict[str, Any], limits: dict[str, Limit] | None = None) -> None:
    """Settings of a group: same type as in its yaml, within the `limits` that the yaml gives."""
    limits = limits if limits is not None else original.get("limits", {})
    for key in original.keys() - values.keys() - {"limits"}:
        raise UserError(f"{prefix}.{key} cannot be removed: set it")
    for key, value in values.items():
        if key == "limits":
            continue
        if key not in original:
            raise UserError(
                f"there is no setting {prefix}.{key}: choose one of {', '.join(_own_keys(prefix, original))}"
            )
        default, limit = original[key], limits.get(key)
        if key in FIXED and value != default:
            raise UserError(f"{prefix}.{key} cannot be changed: write a yaml of its own in conf/{prefix}")
        if isinstance(default, dict):
            if not isinstance(value, dict):
                raise UserError(f"{prefix}.{key} holds settings of its own: set one of them")
            _check_own(f"{prefix}.{key}", value, default, limits)
            continue
        if isinstance(limit, list) and value not in limit:
            raise UserError(f"{prefix}.{key} must be one of {', '.join(map(str, limit))}, got {value}")
        if isinstance(limit, str) and not _within(value, limit):
            kind = "a whole number" if type(default) is int else "a number"
            raise UserError(f"{prefix}.{key} must be {kind} in {limit}, got {value}")
        if type(default) is bool and type(value) is not bool:
            raise UserError(f"{prefix}.{key} must be true or false, got {value}")
        if type(default) is int and type(value) is not int:
            raise UserError(f"{prefix}.{key} must be a whole number, got {value}")
        if (type(default) is str or key == "path") and value is not None and not isinstance(value, str):
            raise UserError(f"{prefix}.{key} must be a word, got {value}")


def _own_keys(prefix: str, original: dict[str, Any]) -> list[str]:
    return [f"{prefix}.{key}" for key in original if key not in ("limits", "_target_")] or ["none"]


def _within(value: Any, limit: Limit) -> bool:
    if isinstance(limit, list):
        return value in limit
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    found = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", str(limit))
    assert found, f"not an interval: {limit}"
    low, high = float(found[2]), float(found[3])
    above = value >= low if found[1] == "[" else value > low
    return above and (value <= high if found[4] == "]" else value < high)


def _check_dataset(config: DictConfig) -> None:
    if config.dataset.metric not in METRICS:
        raise UserError(f"dataset.metric must be one of {', '.join(METRICS)}, got {config.dataset.metric}")
    splits, split = config.dataset.splits, config.split
    known = [str(name) for name in range(splits)] if isinstance(splits, int) else list(splits)
    if isinstance(splits, int) and splits == 0:  # a user's own file says how many it holds
        if not str(split).isdigit():
            raise UserError(f"split must be the number of a split in {config.dataset.path}, got {split}")
    elif str(split) not in known:
        raise UserError(f"split must be one of {', '.join(known)} for dataset={config.dataset.name}, got {split}")
    if config.monitor == "val_roc_auc" and config.dataset.metric != "roc_auc":
        raise UserError(
            f"monitor=val_roc_auc needs a dataset with two classes, {config.dataset.name} is measured by accuracy"
        )
    if "path" in config.dataset and not config.dataset.path:
        raise UserError("dataset=npz needs the file: add dataset.path=FILE.npz")

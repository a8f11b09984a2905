"""Types and limits of the settings; their defaults are in conf/. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from typing import Any

from omegaconf import MISSING

from depthlab.config.limits import Limit
from depthlab.config.option_types import (
    DatasetSettings,
    LoaderSettings,
    LRSchedulerSettings,
    ModelSettings,
    OptimizerSettings,
    Option,
    RewiringSettings,
)
from depthlab.measures.registry import selectable

MAX_RUNS = 10_000  # limit on the runs of a command without a configuration of its own
# folders of conf/ with options of a run
GROUPS = ("model", "dataset", "rewiring", "loader", "optimizer", "lr_scheduler", "trainer", "recipe")
LIKE = ("normalize_features", "task", "metric")  # settings that like=NAME copies from a named dataset to a user's graph


def setting(limit: Limit = None) -> Any:
    """A field with a limit: an interval such as "[0, 1)", a list of values, or None."""
    return field(metadata={"limit": limit})


@dataclass(frozen=True)
class DropEdgeSettings:
    mode: str = setting(["renormalize", "rescale"])
    per_layer: bool = setting()


@dataclass(frozen=True)
class TrackingSettings:
    uri: str | None = setting()
    experiment: str = setting()
    artifacts: list[str] = setting()
    system_metrics: bool = setting()

    @property
    def store(self) -> str:
        """The address of the MLflow store; an entry point replaces a null `uri` before anything is recorded."""
        assert self.uri is not None, "tracking.uri is not set: depthlab.tracking.store.store_uri gives the default"
        return self.uri


@dataclass(frozen=True)
class TrainerSettings:
    accelerator: str = setting(["cpu", "gpu"])
    threads: int | None = setting("[1, 4096]")
    precision: str = setting(["float32", "bf16"])
    strategy: str = setting(["single", "ddp"])
    devices: int = setting("[1, 1024]")
    num_nodes: int = setting("[1, 65536]")

    @property
    def processes(self) -> int:
        """Number of processes that train one network together."""
        return self.devices * self.num_nodes


@dataclass(frozen=True)
class Settings:
    """The settings of a run, as described in conf/config.yaml."""

    model: ModelSettings = setting()
    dataset: DatasetSettings = setting()
    rewiring: RewiringSettings = setting()
    loader: LoaderSettings = setting()
    optimizer: OptimizerSettings = setting()
    lr_scheduler: LRSchedulerSettings = setting()
    logger: dict[str, Option] = setting()
    callbacks: dict[str, Option] = setting()
    depth: int = setting("[1, 100000]")
    seed: int = setting("[0, 4294967295]")
    split: str = setting()
    split_seed: int = setting("[0, 4294967295]")
    p_drop: float = setting("[0, 1)")
    drop_edge: DropEdgeSettings = setting()
    dropout: float = setting("[0, 1)")
    norm: str = setting(["none", "batch", "layer", "pair"])
    hidden: int = setting("[1, 1000000]")
    lr: float = setting("(0, inf)")
    weight_decay: float = setting("[0, inf)")
    weight_decay_linear: float = setting("[0, inf)")
    epochs: int = setting("[1, 100000000]")
    patience: int = setting("[1, 1000000000]")
    memory: str = setting(["auto", "full", "checkpoint"])
    replicas: int = setting("[1, inf)")
    replicate: str = setting(["auto", "seed", "split"])
    max_runs: int = setting("[1, inf)")
    metrics: list[str] | None = setting()
    monitor: str = setting()
    measures: list[str] = setting()
    ckpt: str | None = setting()
    checkpoint_every: int = setting("[1, 1000000000]")
    progress: bool = setting()
    trainer: TrainerSettings = setting()
    tracking: TrackingSettings = setting()

    @property
    def split_name(self) -> str:
        """`public`, the number of a fixed split, or `random` with its seed."""
        return f"random{self.split_seed}" if self.split == "random" else self.split

    @property
    def in_mlflow(self) -> bool:
        """Whether MLflow records the run."""
        return any(option.target == MLFLOW for option in self.logger.values())

    @property
    def targets(self) -> list[str]:
        """Dotted names of all classes and functions in the options."""
        options = [*(getattr(self, group) for group in OPTION_GROUPS), *self.callbacks.values()]
        return [target for option in options for target in option.targets]

    @property
    def logger_targets(self) -> list[str]:
        """Dotted names of the classes of all loggers."""
        return [target for option in self.logger.values() for target in option.targets]

    def with_tracking(self, **changes: Any) -> "Settings":
        """A copy with changed settings of `tracking`."""
        return replace(self, tracking=replace(self.tracking, **changes))


@dataclass(frozen=True)
class StudySettings:
    """The settings of a study, as described in conf/study.yaml."""

    study: Any = setting()
    name: str | None = setting()
    jobs: int | None = setting("[1, 1024]")
    backend: str = setting(["processes", "dask"])
    scheduler: str | None = setting()
    only: list[str] | None = setting()
    replicas: Any = setting()
    reuse: str = setting(["any_code", "same_code"])
    max_runs: int = setting("[1, inf)")
    dry: bool = setting()


@dataclass(frozen=True)
class SweepSettings:
    """The settings of a sweep, as described in conf/sweep.yaml."""

    sweep: Any = setting()
    study_name: str | None = setting()
    trials: int = setting("[1, inf)")
    seeds: int | None = setting("[1, inf)")
    fresh: int | None = setting("[0, inf)")
    objective: Any = setting()
    sampler: str = setting(["tpe", "gp", "random", "grid"])
    sampler_seed: int = setting("[0, 4294967295]")
    pruner: str = setting(["median", "hyperband", "none"])
    max_runs: int = setting("[1, inf)")
    storage: str | None = setting()
    jobs: int | None = setting("[1, 1024]")
    backend: str = setting(["processes", "dask"])
    scheduler: str | None = setting()
    dry: bool = setting()


LIST_GROUPS = ("logger", "callbacks")  # groups that allow any number of options
MLFLOW = "depthlab.tracking.run.TrackedRun"  # `_target_` of logger=mlflow
OPTION_GROUPS: dict[str, type[Option]] = {  # groups whose options have settings and limits of their own
    "model": ModelSettings,
    "dataset": DatasetSettings,
    "rewiring": RewiringSettings,
    "loader": LoaderSettings,
    "optimizer": OptimizerSettings,
    "lr_scheduler": LRSchedulerSettings,
}
LISTED: dict[str, Callable[[], list[str]]] = {  # settings with a list -> the allowed items
    "measures": selectable,
    "tracking.artifacts": lambda: ["config", "figures", "model", "states"],
}


def hydra_schema(settings: Any) -> Any:
    """The types that Hydra checks while composing, with the limits; an option or a split has any type."""
    entries: list[tuple[str, Any, Any]] = []
    for entry in fields(settings):
        kind: Any = Any if entry.name in (*OPTION_GROUPS, *LIST_GROUPS, "split") else entry.type
        if is_dataclass(kind):
            kind = hydra_schema(kind)
            entries.append((entry.name, kind, field(default_factory=kind)))
        elif entry.name in LIST_GROUPS:
            entries.append((entry.name, kind, field(default_factory=dict, metadata=entry.metadata)))
        else:
            entries.append((entry.name, kind, field(default=MISSING, metadata=entry.metadata)))
    return make_dataclass(settings.__name__, entries)


def _limits(schema: Any, prefix: str = "") -> dict[str, tuple[Any, Limit]]:
    limits: dict[str, tuple[Any, Limit]] = {}
    for entry in fields(schema):
        if is_dataclass(entry.type):
            limits |= _limits(entry.type, f"{prefix}{entry.name}.")
        else:
            limits[prefix + entry.name] = (entry.type, entry.metadata["limit"])
    return limits


# Dotted name of each setting -> its type and limit.
RUN_LIMITS = _limits(hydra_schema(Settings))
STUDY_LIMITS = _limits(hydra_schema(StudySettings))
SWEEP_LIMITS = _limits(hydra_schema(SweepSettings))
ALL_LIMITS = STUDY_LIMITS | SWEEP_LIMITS | RUN_LIMITS
# settings with a word, or a list of words
WORDS = {key for key, (kind, _) in ALL_LIMITS.items() if kind in (str, str | None)}
WORDS |= {"model.target", "model.layers"}
WORDS |= {
    f"dataset.{key}"
    for key in ("path", "name", "id", "label", "split_column", "source", "target", "edge_weight", "data_hash")
}
LISTS = {key for key, (kind, _) in ALL_LIMITS.items() if kind in (list[str], list[str] | None)} | {*LIST_GROUPS}


def allowed_values(key: str) -> str:
    """The allowed values of a setting of the schema, in words."""
    if key in LIST_GROUPS:
        return f"a list of options of conf/{key}"
    if key not in ALL_LIMITS:
        parts = [name for name in ALL_LIMITS if name.startswith(f"{key}.")]
        return f"set by its parts, {', '.join(parts) or f'such as {key}.NAME=VALUE'}"
    kind, limit = ALL_LIMITS[key]
    if isinstance(limit, list):
        return f"one of {', '.join(map(str, limit))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    optional = {int | None: "a whole number or null", str | None: "a word or null"}
    name = words.get(kind) or optional.get(kind) or "a list of words" if kind != Any else "a valid value"
    return f"{name} in {limit}" if limit else str(name)

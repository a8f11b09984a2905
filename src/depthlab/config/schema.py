"""Types and limits of the settings; their defaults are in conf/. Imports nothing heavy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from typing import Any

from omegaconf import MISSING

from depthlab.config.closure import targets
from depthlab.config.limits import Limit
from depthlab.config.modules import MODULE, label
from depthlab.measures.registry import selectable

MAX_RUNS = 10_000  # limit on the runs of a command without a configuration of its own
GROUPS = (
    "model",
    "dataset",
    "rewiring",
    "loader",
    "optimizer",
    "lr_scheduler",
    "trainer",
    "recipe",
)  # folders of conf/ with options of a run
LIKE = ("normalize_features", "task", "metric")  # settings that like=NAME copies from a named dataset to a user's graph


def setting(limit: Limit = None) -> Any:
    """A field with a limit: an interval such as "[0, 1)", a list of values, or None."""
    return field(metadata={"limit": limit})


@dataclass(frozen=True, kw_only=True)
class Option:
    """The chosen option of a config group: a yaml file in conf/, with the overrides.

    Attributes:
        name: name of the option; for a dataset or a loader, the setting `name` in its yaml.
        target: dotted name of the class or function to call, `_target_` in the yaml; None if there is none.
        arguments: arguments of `target`: the settings that only this option has.
    """

    name: str
    target: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """Dotted names of all classes and functions that it names, also in its arguments."""
        return [*filter(None, [self.target]), *targets(self.arguments)]


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Option):
    """A yaml of conf/model: the class of a network and its hyperparameters."""

    target: str

    @property
    def module(self) -> str | None:
        """The target of the external module of model=module; None for an architecture."""
        return self.arguments.get("target") if self.target == MODULE else None

    @property
    def label(self) -> str:
        """The name of the network in names and tags of runs."""
        return label(self.module) if self.module else self.name

    @property
    def targets(self) -> list[str]:
        """Dotted names of all classes and functions in the settings, and the target of an external module."""
        return [*super().targets, *filter(None, [self.module])]


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(Option):
    """A yaml of conf/dataset: the function that reads or generates the data, and how they are used.

    Attributes:
        splits: number of numbered splits (0: the number of splits in the file), or the names of the splits.
        split: default of the setting `split`.
        task, metric: keys of `depthlab.tasks.task.TASKS` and `depthlab.tasks.metrics.METRICS`.
        files: raw files below the data folder.
        path: the user's file or folder.
        path_files: the files to read in that folder, or arguments that name them; None for all files.
        normalize_features: whether to divide each row of the features by its sum.
        batch_size: number of graphs in a training step; None for a dataset of one graph.
        pooling: readout from node outputs to graph outputs, for graphs of different topology.
        mapped: whether the arrays stay on disk and are memory-mapped.
        directed: whether the direction of edges is kept; otherwise every edge gets its reverse.
        random_split: part sizes of a random split, as for `depthlab.data.splits.random_split`.
        hash_tensors: whether the data hash covers the tensors, because there are no files to hash.
        data_hash: required hash of the data, or its first digits.
        option: name of the yaml file, if `name` is the name of the user's own graph.
    """

    target: str
    splits: int | list[str]
    split: int | str
    task: str
    metric: str
    files: list[str] | None = None
    path: str | None = None
    path_files: list[str] | None = None
    normalize_features: bool | None = None
    batch_size: int | None = None
    pooling: str | None = None
    mapped: bool | None = None
    directed: bool | None = None
    random_split: list[float] | None = None
    hash_tensors: bool | None = None
    data_hash: str | None = None
    option: str | None = None

    @property
    def label(self) -> str:
        """The name of the graph in names and tags of runs: `texas`, or `Planetoid-Cora`."""
        words = [value for value in dict(self.arguments.get("args") or {}).values() if isinstance(value, str)]
        return "-".join([self.name, *words])

    @property
    def is_own(self) -> bool:
        """Whether the data are a user's own files, in `path`."""
        return self.path is not None

    @property
    def has_many_graphs(self) -> bool:
        return self.batch_size is not None


@dataclass(frozen=True, kw_only=True)
class RewiringSettings(Option):
    """A yaml of conf/rewiring: the function that changes the edges.

    Attributes:
        seed: seed of its random numbers.
        layers: which layers propagate over the rewired graph, `all` or `last`.
    """

    seed: int | None = None
    layers: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoaderSettings(Option):
    """A yaml of conf/loader: the part of the graph in a training step.

    Attributes:
        parts: number of parts that the graph is cut into; None for the whole graph at every step.
        batch_parts: number of parts in a training step.
    """

    parts: int | None = None
    batch_parts: int | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Option):
    """A yaml of conf/optimizer: the class of an optimizer, and its arguments except `lr` and weight decay."""

    target: str


@dataclass(frozen=True, kw_only=True)
class LRSchedulerSettings(Option):
    """A yaml of conf/lr_scheduler: the class that changes the learning rate after every epoch, if any."""


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
WORDS |= {"dataset.path", "model.target", "model.layers"}
WORDS |= {f"dataset.{key}" for key in ("name", "id", "label", "split_column", "source", "target", "edge_weight")}
WORDS |= {"dataset.data_hash"}
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

"""Types of the options in a run's settings: a yaml file of conf/ with its overrides. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from depthlab.config.closure import targets
from depthlab.config.modules import MODULE, label


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

"""From settings to what is trained: data, graphs, task and network. Nothing else makes these."""

from dataclasses import dataclass, replace
from typing import Any

from torch import distributed

from depthlab.data.dataset import Dataset
from depthlab.data.graph_set import GraphSet
from depthlab.data.prepare import load
from depthlab.data.rewire import Rewired, rewire
from depthlab.graph.batches import Batches, OneGraph
from depthlab.graph.cluster import ClusterBatches
from depthlab.graph.graph import Graph
from depthlab.tasks.task import Task, make_task
from depthlab.training.build import build_model
from depthlab.training.memory import decide_memory
from depthlab.training.module import TrainingModule


@dataclass(frozen=True, eq=False)
class Data:
    """What runs that differ in seed and split alone have in common.

    Attributes:
        dataset: as it was read.
        rewired: graphs of one split, with the edges to propagate over, and the hash of all that shaped them.
    """

    dataset: Dataset | GraphSet
    rewired: Rewired

    @property
    def graph(self) -> Graph:
        """The graph that a network is measured on, with the split of the settings that the data was read for."""
        return self.rewired.graph

    def split(self, settings: dict[str, Any]) -> OneGraph:
        """The one graph with the split of these settings."""
        train, val, test = self.dataset.parts(settings["split"], settings["split_seed"])
        return OneGraph(replace(self.graph, train=train, val=val, test=test))

    def task(self, settings: dict[str, Any]) -> Task:
        """What is predicted; raises UserError if a metric is undefined on the split of these settings."""
        return make_task(settings, self.dataset)


def read_data(settings: dict[str, Any]) -> Data:
    """Read the dataset, or its prepared file, and rewire it.

    Raises:
        UserError: data cannot be used like this.
    """
    dataset, data_hash = load(settings["dataset"])
    make_task(settings, dataset)
    return Data(dataset, rewire(dataset, data_hash, settings))


@dataclass(frozen=True, eq=False)
class Experiment:
    """One network and what it is trained on.

    Attributes:
        settings: with `memory` decided.
        data: shared with other runs, if there are any.
        batches: to train and validate on, in a run of several processes the share of this one.
        module: an initialised network, with what trains and scores it.
    """

    settings: dict[str, Any]
    data: Data
    batches: Batches
    module: TrainingModule

    @property
    def graph(self) -> Graph:
        """The graph that the network is measured on."""
        return self.batches.probe


def experiment(settings: dict[str, Any], data: Data | None = None) -> Experiment:
    """The experiment that the settings describe.

    Args:
        settings: the resolved config as plain types (`depthlab.config.settings.plain`).
        data: of a run that differs in seed and split alone, to be used again.

    Raises:
        UserError: the data cannot be used, the architecture cannot work on it, or a step does not fit in memory.
    """
    batches: Batches
    if data is None:
        data = read_data(settings)
        batches = data.rewired.batches
    else:
        batches = data.split(settings)
    graph, rank = batches.probe, 0
    if settings["trainer"]["strategy"] == "ddp":
        assert isinstance(batches, ClusterBatches), "validation asks for loader=cluster"
        rank = distributed.get_rank()
        batches = batches.share(rank, distributed.get_world_size())
    task = data.task(settings)
    settings = decide_memory(settings, batches, task)
    module = build_model(settings, graph, task)
    module.network.masks.stream = rank
    return Experiment(settings, data, batches, module)

"""Build data, graphs, task and network from settings; this is the only place that does."""

import sys
from dataclasses import dataclass, replace

from torch import distributed

from depthlab.config.schema import Settings
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
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
    """The data shared by runs that differ only in seed and split.

    Attributes:
        dataset: the dataset as read.
        rewired: graphs of one split with the edges to propagate over, and their data hash.
    """

    dataset: Dataset | GraphSet | GraphCollection
    rewired: Rewired

    @property
    def graph(self) -> Graph:
        """The graph for the measures, with the split of the settings that the data was read for."""
        return self.rewired.graph

    def split(self, settings: Settings) -> OneGraph:
        """The graph with the split of these settings."""
        train, val, test = self.dataset.parts(settings.split, settings.split_seed)
        return OneGraph(replace(self.graph, train=train, val=val, test=test))

    def task(self, settings: Settings) -> Task:
        """The task; raises UserError if a metric is undefined on the split of these settings."""
        return make_task(settings, self.dataset)


def read_data(settings: Settings) -> Data:
    """Read the dataset or its prepared file, and rewire it.

    Raises:
        UserError: the data does not exist or does not fit the settings.
    """
    dataset, data_hash = load(settings.dataset)
    if settings.progress and not isinstance(dataset, GraphSet):
        for note in dataset.notes:
            print(f"{settings.dataset.label}: {note}", file=sys.stderr)
    make_task(settings, dataset)
    return Data(dataset, rewire(dataset, data_hash, settings))


@dataclass(frozen=True, eq=False)
class Experiment:
    """A network and the data that it is trained on.

    Attributes:
        settings: the resolved settings, with `memory=auto` resolved.
        data: can be shared with other runs.
        batches: batches for training and validation; with several processes, this rank's share.
        module: trains and scores the initialised network.
    """

    settings: Settings
    data: Data
    batches: Batches
    module: TrainingModule

    @property
    def graph(self) -> Graph:
        """The graph for the measures."""
        return self.batches.probe


def experiment(settings: Settings, data: Data | None = None) -> Experiment:
    """The experiment that the settings describe.

    Args:
        settings: of the run.
        data: data of a run that differs only in seed and split, to reuse.

    Raises:
        UserError: the data or the architecture does not fit the settings, or a step does not fit in memory.
    """
    batches: Batches
    if data is None:
        data = read_data(settings)
        batches = data.rewired.batches
    else:
        batches = data.split(settings)
    graph, rank = batches.probe, 0
    if settings.trainer.strategy == "ddp":
        assert isinstance(batches, ClusterBatches), "validation asks for loader=cluster"
        rank = distributed.get_rank()
        batches = batches.share(rank, distributed.get_world_size())
    task = data.task(settings)
    settings = decide_memory(settings, batches, task)
    module = build_model(settings, graph, task)
    if settings.progress and graph.adjacency.weights is not None and not module.network.uses_weights:
        print(f"{settings.model.label} ignores edge weights", file=sys.stderr)
    module.network.masks.stream = rank
    return Experiment(settings, data, batches, module)

"""The edges that DropEdge leaves in every epoch of a run, drawn again from its seed."""

from dataclasses import dataclass, replace

from depthlab.config.schema import Settings
from depthlab.graph.drop_edge import active_edges
from depthlab.training.experiment import experiment


@dataclass(frozen=True)
class DroppedEdges:
    """Numbers of undirected edges.

    Attributes:
        base: of the whole graph.
        active: left in the first layer, by epoch.
    """

    base: int
    active: list[int]


def dropped_edges(settings: Settings, epochs: int) -> DroppedEdges:
    """Draw the edges of every epoch of a run on one graph, where an epoch is one training step.

    The random bits of DropEdge depend on seed and step alone, so these are the edges of the training itself.

    Args:
        settings: of the run.
        epochs: that it has trained.
    """
    made = experiment(replace(settings, progress=False))
    graph, module = made.graph, made.module
    module.network.train()
    left = [active_edges(module.training_graph(graph, step).at(0)) for step in range(epochs)]
    return DroppedEdges(graph.layers.at(0).num_edges, left)

"""Measures by hop: sensitivity of a trained model to distant nodes, and the bottleneck ratio."""

from collections.abc import Iterable

import torch
from torch import Tensor

from depthlab.graph.graph import Graph
from depthlab.graph.statistics import bottleneck_ratio
from depthlab.measures.registry import MEASURES
from depthlab.measures.sensitivity import hop_distance, sensitivity
from depthlab.nn.equation import stuck
from depthlab.nn.execution import states
from depthlab.ops import SparseFeatures, propagate
from depthlab.training.module import TrainingModule

NODES, SEED = 16, 0  # number of nodes and seed, so that every run measures the same nodes


def measures_by_hop(
    model: TrainingModule, graph: Graph, names: Iterable[str], task_range: int | None = None
) -> dict[str, list[float]]:
    """The named measures by hop, for k = 0, 1, ... hops.

    Hops are counted on the original edges, even if the model propagates over rewired ones. There is one hop more than
    the model has layers, or fewer if no node is that far from the 16 random nodes. For a task with a range, the nodes
    are read-out nodes, and hops reach at least that range.
    """
    n = graph.num_nodes
    limit = max(model.network.depth + 1, task_range or 0)
    if task_range is None:
        nodes = torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[:NODES]
    else:
        nodes = graph.train[:NODES]
    hops = int(hop_distance(graph.undirected_edges, n, nodes, limit).max())
    return {name: MEASURES[name].load()(model, graph, nodes, hops) for name in names}


def sensitivity_by_hop(model: TrainingModule, graph: Graph, nodes: Tensor, hops: int) -> list[float]:
    """`depthlab.measures.sensitivity` of the last state with respect to the dense features.

    Empty if an adjoint solver cannot integrate backwards.
    """
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x

    def last_state(features: Tensor) -> Tensor:
        *_, last = states(model.network, features, graph.layers)
        return last

    try:
        return sensitivity(last_state, x, graph.undirected_edges, nodes, hops)
    except AssertionError as error:
        if not stuck(error):
            raise
        return []


def walk_weight_by_hop(model: TrainingModule, graph: Graph, nodes: Tensor, hops: int) -> list[float]:
    """The mean entry of P^L by hop, or of the product of the operators of all layers if they differ.

    A GCN without ReLU has the Jacobian (P^L)_vu W_1 ... W_L: its sensitivity is this times a constant (Topping et al.
    2022).
    """

    def walk(weights: Tensor) -> Tensor:
        for layer in range(model.network.depth):
            weights = propagate(graph.layers.at(layer), weights)
        return weights

    ones = graph.adjacency.values.new_ones(graph.x.shape[0], 1)
    return sensitivity(walk, ones, graph.undirected_edges, nodes, hops)


def bottleneck_ratio_by_hop(model: TrainingModule, graph: Graph, nodes: Tensor, hops: int) -> list[float]:
    """`depthlab.graph.statistics.bottleneck_ratio`: the mean number of nodes within k hops for each hidden channel."""
    return bottleneck_ratio(graph.undirected_edges, graph.num_nodes, model.hidden, hops)

"""What a trained model still sees of far nodes, and how much it would have to hold of them."""

import torch
from torch import Tensor

from depthlab.graph.graph import Graph
from depthlab.graph.statistics import bottleneck_ratio
from depthlab.measures.sensitivity import hop_distance, sensitivity
from depthlab.nn.execution import states
from depthlab.nn.flow import stuck
from depthlab.ops import SparseFeatures, propagate
from depthlab.training.module import TrainingModule

NODES, SEED = 16, 0  # drawn once: the same nodes of a graph in every run


def squashing_by_hop(model: TrainingModule, graph: Graph, task_range: int | None = None) -> dict[str, list[float]]:
    """`sensitivity_by_hop`, `walk_weight_by_hop` and `bottleneck_ratio_by_hop` for k = 0, 1, ... hops.

    The walk weight is the mean entry of P^L, or of the product of the layers' P where they differ: a GCN without relu
    has the Jacobian (P^L)_vu W_1 ... W_L, so that its sensitivity is this times one number (Topping et al. 2022).

    Hops are along the data's own edges, between its own nodes, also where the model propagates over rewired ones.
    Up to one hop more than the model has layers, or to the farthest node that the 16 drawn ones reach. Features are
    made dense for the pass. Of a task with a range, the nodes are such as are read out, up to that range at least.
    Without the first curve where an adjoint solver cannot go back.
    """
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
    n = graph.num_nodes
    edges, limit = graph.undirected_edges, max(model.network.depth + 1, task_range or 0)
    if task_range is None:
        nodes = torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[:NODES]
    else:
        nodes = graph.train[:NODES]
    hops = int(hop_distance(edges, n, nodes, limit).max())

    def walk(weights: Tensor) -> Tensor:
        for layer in range(model.network.depth):
            weights = propagate(graph.layers.at(layer), weights)
        return weights

    def last_state(features: Tensor) -> Tensor:
        *_, last = states(model.network, features, graph.layers)
        return last

    curves = {"walk_weight_by_hop": sensitivity(walk, x.new_ones(len(x), 1), edges, nodes, hops)}
    curves["bottleneck_ratio_by_hop"] = bottleneck_ratio(edges, n, model.hidden, hops)
    try:
        curves["sensitivity_by_hop"] = sensitivity(last_state, x, edges, nodes, hops)
    except AssertionError as error:
        if not stuck(error):
            raise
    return curves

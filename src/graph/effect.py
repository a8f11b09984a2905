"""What a rewiring did to a graph, in numbers."""

import math

import torch
from torch import Tensor

from src.graph.rewiring.edges import both_directions, edge_keys
from src.graph.statistics import edge_homophily


def effect(before: Tensor, after: Tensor, y: Tensor, num_nodes: int) -> dict[str, float]:
    """Numbers of edges, and how often they join nodes of one class, before and after a rewiring.

    Homophily is read from all classes, those of test nodes included: it describes, and nothing is chosen by it. An
    edge at a node without a class does not count for it, and where no edge counts it is left out.

    Args:
        before, after: edges (2, m) and (2, m'), both directions of every undirected edge, no loops.
        y: class of each node of the data, (n,), -1 for none.
        num_nodes: number of nodes after it; new ones come last.
    """
    new_nodes = num_nodes - y.numel()
    classes = torch.cat([y, y.new_full((new_nodes,), -1)])
    old, new = edge_keys(before, num_nodes), edge_keys(after, num_nodes)
    added = new[~torch.isin(new, old, assume_unique=True)]
    found = {
        "nodes_added": new_nodes,
        "edges_before": old.numel(),
        "edges_after": new.numel(),
        "edges_added": added.numel(),
        "edges_removed": old.numel() - (new.numel() - added.numel()),
        "homophily_before": edge_homophily(before, classes),
        "homophily_after": edge_homophily(after, classes),
        "homophily_added": edge_homophily(both_directions(added, num_nodes), classes),
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}

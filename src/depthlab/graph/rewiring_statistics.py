"""Statistics of a rewiring: edges added and removed, homophily and structure before and after."""

import math

import torch
from torch import Tensor

from depthlab.graph.bottleneck import bottleneck_statistics
from depthlab.graph.rewiring.edges import both_directions, edge_keys
from depthlab.graph.statistics import edge_homophily
from depthlab.measures.laplacian import Blocks

STRUCTURE = {  # name -> key and part in `bottleneck_statistics`
    "spectral_gap": ("spectral_gap", "largest_component"),
    "resistance": ("resistance", "pairs"),
    "curvature_mean": ("balanced_forman", "mean"),
    "curvature_min": ("balanced_forman", "min"),
}


def rewiring_statistics(before: Tensor, after: Tensor, y: Tensor, num_nodes: int) -> dict[str, float]:
    """Number of edges added and removed, edge homophily, and `structure` before and after.

    Homophily uses the classes of all nodes, also of test nodes: it is a description and selects nothing. Edges at nodes
    without a class do not count. Statistics without a value are left out: homophily if no edge counts, and measures
    that would take too long.

    Args:
        before, after: edges (2, m) and (2, m'), both directions of every undirected edge, no loops.
        y: class of each node of the data, (n,), -1 for none.
        num_nodes: number of nodes after the rewiring; new ones come last.
    """
    new_nodes = num_nodes - y.numel()
    classes = torch.cat([y, y.new_full((new_nodes,), -1)])
    old, new = edge_keys(before, num_nodes), edge_keys(after, num_nodes)
    added = new[~torch.isin(new, old, assume_unique=True)]
    statistics = {
        "nodes_added": new_nodes,
        "edges_before": old.numel(),
        "edges_after": new.numel(),
        "edges_added": added.numel(),
        "edges_removed": old.numel() - (new.numel() - added.numel()),
        "homophily_before": edge_homophily(before, classes),
        "homophily_after": edge_homophily(after, classes),
        "homophily_added": edge_homophily(both_directions(added, num_nodes), classes),
    }
    structures = {"before": structure(before, y.numel()), "after": structure(after, num_nodes)}
    statistics |= {f"{name}_{when}": values[name] for name in structures["before"] | structures["after"]
                   for when, values in structures.items() if name in values}  # fmt: skip
    return {name: value for name, value in statistics.items() if math.isfinite(value)}


def structure(edge_index: Tensor, num_nodes: int) -> dict[str, float]:
    """Structural statistics that explain over-squashing.

    Number of components; spectral gap and mean effective resistance of the largest one; mean and minimum of the
    Balanced Forman curvature over all edges. Statistics that `bottleneck_statistics` skips are left out.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no loops.
        num_nodes: n.
    """
    bottleneck = bottleneck_statistics(edge_index, num_nodes)
    values = {name: bottleneck[measure].get(part) for name, (measure, part) in STRUCTURE.items()}
    numbers = {name: value for name, value in values.items() if isinstance(value, float)}
    return {"components": float(len(Blocks(edge_index, num_nodes)))} | numbers

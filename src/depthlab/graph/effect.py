"""What a rewiring did to a graph, in numbers."""

import math

import torch
from torch import Tensor

from depthlab.graph.bottleneck import bottleneck_statistics
from depthlab.graph.rewiring.edges import both_directions, edge_keys
from depthlab.graph.statistics import edge_homophily
from depthlab.measures.laplacian import Blocks

MEASURED = {  # our name -> where `bottleneck_statistics` has it
    "spectral_gap": ("spectral_gap", "largest_component"),
    "resistance": ("resistance", "pairs"),
    "curvature_mean": ("balanced_forman", "mean"),
    "curvature_min": ("balanced_forman", "min"),
}


def effect(before: Tensor, after: Tensor, y: Tensor, num_nodes: int) -> dict[str, float]:
    """Edges added and removed, how often they join nodes of one class, and `structure` before and after.

    Homophily is read from all classes, those of test nodes included: it describes, and nothing is chosen by it. An
    edge at a node without a class does not count for it. What has no value is left out: homophily where no edge counts,
    a measure that would take too long.

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
    shapes = {"before": structure(before, y.numel()), "after": structure(after, num_nodes)}
    found |= {f"{name}_{when}": shape[name] for name in shapes["before"] | shapes["after"]
              for when, shape in shapes.items() if name in shape}  # fmt: skip
    return {name: value for name, value in found.items() if math.isfinite(value)}


def structure(edge_index: Tensor, num_nodes: int) -> dict[str, float]:
    """How easily a graph lets messages through: what over-squashing is explained with.

    Number of components; of the largest one the spectral gap and the mean effective resistance between two nodes; mean
    and least Balanced Forman curvature of all edges: of `bottleneck_statistics`, without what that one skips.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no loops.
        num_nodes: n.
    """
    known = bottleneck_statistics(edge_index, num_nodes)
    values = {name: known[measure].get(part) for name, (measure, part) in MEASURED.items()}
    found = {name: value for name, value in values.items() if isinstance(value, float)}
    return {"components": float(len(Blocks(edge_index, num_nodes)))} | found

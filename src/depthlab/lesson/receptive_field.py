"""The nodes that enter the state of one node, layer by layer, before and after a rewiring."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from depthlab.config.schema import Settings
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import load
from depthlab.data.rewire import cached_edges
from depthlab.measures.sensitivity import hop_distance

GOLDEN = math.pi * (3 - math.sqrt(5))  # the angle between neighbouring seeds of a sunflower


@dataclass(frozen=True)
class ReceptiveField:
    """Numbers of nodes by their distance from one node.

    Attributes:
        node: its number.
        nodes: number of nodes in its connected component, before the rewiring.
        before, after: number of those nodes at hop 0, 1, ...
        edges: number of undirected edges of the graph.
        edges_added: by the rewiring.
        resistance: mean effective resistance over pairs of nodes before and after; None if it was not computed.
    """

    node: int
    nodes: int
    before: list[int]
    after: list[int]
    edges: int
    edges_added: int
    resistance: tuple[float, float] | None = None


def receptive_field(settings: Settings) -> ReceptiveField:
    """The receptive field of the node of greatest eccentricity in the largest connected component.

    Args:
        settings: of a run on one graph, with a rewiring.
    """
    dataset, data_hash = load(settings.dataset)
    assert isinstance(dataset, Dataset), "the lesson has one graph"
    rewired = cached_edges(dataset, data_hash, settings)
    node, part = most_remote(dataset.edge_index, dataset.num_nodes)
    before, after = (by_hop(edges, rewired.num_nodes, node, part) for edges in (dataset.edge_index, rewired.edge_index))
    known = rewired.statistics
    pair = known.get("resistance_before", math.nan), known.get("resistance_after", math.nan)
    return ReceptiveField(
        node, len(part), before, after, dataset.edge_index.shape[1] // 2, int(known["edges_added"]),
        pair if all(map(math.isfinite, pair)) else None,
    )  # fmt: skip


def most_remote(edge_index: Tensor, num_nodes: int) -> tuple[int, Tensor]:
    """The first node of greatest eccentricity in the largest connected component, and the component's nodes (k,)."""
    row, col = edge_index.numpy()
    adjacency = coo_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes)).tocsr()
    _, labels = connected_components(adjacency, directed=False)
    part = np.flatnonzero(labels == np.bincount(labels).argmax())
    farthest = dijkstra(adjacency[part][:, part], unweighted=True).max(1)
    return int(part[farthest.argmax()]), torch.from_numpy(part)


def by_hop(edge_index: Tensor, num_nodes: int, node: int, part: Tensor) -> list[int]:
    """How many nodes of a component are 0, 1, 2, ... hops away from a node."""
    distance = hop_distance(edge_index, num_nodes, torch.tensor([node]), num_nodes)[0, part]
    return torch.bincount(distance[distance >= 0]).tolist()


def sunflower(counts: list[int], radius: float) -> list[str]:
    """Dots that fill a disc from its centre, hop by hop: their area is their number.

    Returns:
        The `d` of one path for each hop: dots are line segments of length zero with round ends.
    """
    scale = radius / math.sqrt(sum(counts))
    paths, number = [], 0
    for count in counts:
        dots = range(number, number + count)
        places = [(scale * math.sqrt(k + 0.5), GOLDEN * k) for k in dots]
        paths.append("".join(f"M{r * math.cos(a):.1f},{r * math.sin(a):.1f}h0" for r, a in places))
        number += count
    return paths

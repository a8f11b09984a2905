"""Statistics of a graph, which `prepare` writes with every dataset."""

import numpy as np
import torch
from torch import Tensor

from depthlab.measures.edges import check_undirected

HOPS = 10
DIGITS = 6  # significant digits in files: eigenvalues are exact to 1e-8, single-precision shares to 6e-8
Statistics = dict[str, int | float | dict[str, float] | dict[str, str]]
EXACT, SAMPLE = 4096, 1024  # receptive fields start at every node of graphs up to EXACT nodes, else at SAMPLE nodes
ENTRIES = 1 << 24  # nodes times starting nodes of receptive fields computed at once, some 200 MB
LARGE = 200_000  # nodes, beyond which receptive fields take minutes and gigabytes


def edge_homophily(edge_index: Tensor, y: Tensor) -> float:
    """Fraction of edges that join nodes of one class; edges at nodes without a class (-1) do not count."""
    row, col = _labelled(edge_index, y)
    return float((y[row] == y[col]).float().mean())


def _labelled(edge_index: Tensor, y: Tensor) -> Tensor:
    return edge_index[:, (y[edge_index] >= 0).all(0)]


def adjusted_homophily(edge_index: Tensor, y: Tensor) -> float:
    r"""Adjusted homophily (Platonov et al. 2023, https://arxiv.org/abs/2209.06177).

    .. math:: h_{adj} = \frac{h_{edge} - \sum_k D_k^2 / (2|E|)^2}{1 - \sum_k D_k^2 / (2|E|)^2}

    with :math:`D_k` the sum of degrees in class k: 0 for edges that ignore classes, at most 1, negative for
    heterophily. NaN if all edge ends carry one class.

    Args:
        edge_index: (2, m), both directions of every undirected edge once, no self-loops.
        y: classes (n,).

    Raises:
        ValueError: the edges do not have this form.
    """
    check_undirected(edge_index, len(y))
    edge = float((y[edge_index[0]] == y[edge_index[1]]).double().mean())
    shares = torch.bincount(y[edge_index[0]]).double() / edge_index.shape[1]
    chance = float((shares**2).sum())
    return (edge - chance) / (1 - chance) if chance < 1 else float("nan")


def receptive_field(edge_index: Tensor, num_nodes: int, hops: int = HOPS) -> list[float]:
    """Mean number of nodes within k hops of a node, itself included, for k = 1..hops.

    Exact up to 4,096 nodes; beyond, the mean over 1,024 nodes drawn with a fixed seed.
    """
    from scipy.sparse import coo_array

    row, col = edge_index.numpy()
    adjacency = coo_array((np.ones(len(row), np.float32), (row, col)), shape=(num_nodes, num_nodes)).tocsr()
    everywhere = np.arange(num_nodes)
    starts = everywhere if num_nodes <= EXACT else np.random.default_rng(0).permutation(everywhere)[:SAMPLE]
    sizes = np.zeros(hops)
    for chunk in np.array_split(starts, -(-num_nodes * len(starts) // ENTRIES) or 1):
        reached = np.zeros((num_nodes, len(chunk)), np.float32)
        reached[chunk, np.arange(len(chunk))] = 1
        for k in range(hops):
            reached = np.minimum(reached + np.minimum(adjacency @ reached, 1), 1)
            sizes[k] += reached.sum(dtype=np.float64)
    return [float(size / len(starts)) for size in sizes]


def bottleneck_ratio(edge_index: Tensor, num_nodes: int, hidden: int, hops: int) -> list[float]:
    """Nodes in the receptive field per channel (Alon & Yahav 2021, https://arxiv.org/abs/2006.05205), for k = 0..hops.

    The mean number of nodes within k hops (`receptive_field`) divided by the number `hidden` of channels of a state.
    """
    return [size / hidden for size in [1.0, *receptive_field(edge_index, num_nodes, hops)]]


def graph_statistics(x: Tensor, edge_index: Tensor, y: Tensor) -> Statistics:
    """Size, density, homophily, components and receptive field of an undirected graph.

    Args:
        x: features (n, f).
        edge_index: (2, m), both directions of every undirected edge, no self-loops.
        y: targets (n,): classes, -1 for none, where edges at nodes without a class do not count for homophily; numbers
            have no class statistics.
    """
    shape, classes = topology(edge_index, len(y)), dict[str, float]()
    if not y.is_floating_point():
        classes["edge_homophily"] = edge_homophily(edge_index, y)
        classes["adjusted_homophily"] = adjusted_homophily(_labelled(edge_index, y), y)
    return {
        "nodes": shape["nodes"],
        "edges": shape["edges"],
        **({} if y.is_floating_point() else {"classes": int(y.max()) + 1}),
        "features": x.shape[1],
        "feature_density": float(x.count_nonzero()) / x.numel(),
        **classes,
        "connected_components": shape["connected_components"],
        "receptive_field": shape["receptive_field"],
    }


def topology(edge_index: Tensor, num_nodes: int) -> Statistics:
    """Number of nodes, edges (directed or undirected) and weakly connected components, and receptive field.

    The receptive field follows the direction of edges. For a large graph it is left out: `skipped` says why.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row, col = edge_index.numpy()
    pattern = coo_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes))
    if num_nodes > LARGE:
        field: dict[str, float] | dict[str, str] = {"skipped": f"{num_nodes:,} nodes, more than {LARGE:,}"}
    else:
        field = {str(k): size for k, size in enumerate(receptive_field(edge_index, num_nodes), start=1)}
    return {
        "nodes": num_nodes,
        "edges": len(np.unique(np.minimum(row, col) * num_nodes + np.maximum(row, col))),
        "connected_components": int(connected_components(pattern, directed=False)[0]),
        "receptive_field": field,
    }

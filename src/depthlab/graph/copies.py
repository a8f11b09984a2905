"""Disjoint copies of a graph, over which replicas of a network propagate."""

from dataclasses import replace

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures


def graph_copies(graph: Graph, count: int) -> Graph:
    """A graph of r = `count` copies: adjacency and sparse features are block-diagonal.

    Node i of copy k has index k n + i. Dense features are expanded to (r, n, f) without copying; sparse ones become
    (r n, r f). Classes and split are those of the single graph.
    """
    if isinstance(graph.x, SparseFeatures):
        x: Tensor | SparseFeatures = features_copies(graph.x, count)
    else:
        x = graph.x.expand(count, *graph.x.shape)
    last = None if graph.last is None else adjacency_copies(graph.last, count)
    return replace(graph, x=x, adjacency=adjacency_copies(graph.adjacency, count), last=last)


def adjacency_copies(adjacency: Adjacency, count: int) -> Adjacency:
    """Block-diagonal adjacency of `count` copies, (r n, r n), with equal values; edges are numbered copy by copy."""
    nodes, edges = adjacency.num_nodes, adjacency.num_edges
    matrix = csr_copies(adjacency.matrix, count)
    loops = (adjacency.pair == edges).repeat(count)
    pair = _shifted(adjacency.pair, edges, count).masked_fill(loops, count * edges)
    return Adjacency(
        matrix,
        matrix if adjacency.transpose is adjacency.matrix else csr_copies(adjacency.transpose, count),
        _shifted(adjacency.row, nodes, count),
        _shifted(adjacency.col, nodes, count),
        pair,
        count * edges,
        _shifted(adjacency.order, adjacency.order.numel(), count),
        adjacency.symmetric,
        weights=None if adjacency.weights is None else adjacency.weights.repeat(count),
    )


def features_copies(x: SparseFeatures, count: int) -> SparseFeatures:
    """Block-diagonal features of `count` copies, (r n, r f)."""
    order = _shifted(x.order, x.order.numel(), count)
    return SparseFeatures(csr_copies(x.matrix, count), csr_copies(x.transpose, count), order)


def csr_copies(matrix: Tensor, count: int) -> Tensor:
    """The block-diagonal CSR matrix of `count` equal blocks."""
    rows, columns = matrix.shape
    starts = _shifted(matrix.crow_indices()[:-1], matrix.values().numel(), count)
    end = starts.new_tensor([count * matrix.values().numel()])
    col = _shifted(matrix.col_indices(), columns, count)
    shape = (count * rows, count * columns)
    values = matrix.values().repeat(count)
    return torch.sparse_csr_tensor(torch.cat([starts, end]), col, values, shape, check_invariants=False)


def _shifted(numbers: Tensor, by: int, count: int) -> Tensor:
    """Repeat numbers for every copy, and add `by * k` for copy k."""
    return (numbers + by * torch.arange(count, device=numbers.device, dtype=numbers.dtype)[:, None]).flatten()

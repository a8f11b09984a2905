"""Some copies of one graph side by side: what replicas of a network propagate over."""

from dataclasses import replace

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures


def graph_copies(graph: Graph, count: int) -> Graph:
    """A graph whose adjacency, and features where they are sparse, are block-diagonal: `count` blocks of r = count.

    Node i of copy k is node k n + i. Dense features are shown once for each copy, (r, n, f), and take no memory; of
    sparse ones copy k has columns of its own, (r n, r f). Classes and split stay those of the one graph.
    """
    if isinstance(graph.x, SparseFeatures):
        x: Tensor | SparseFeatures = features_copies(graph.x, count)
    else:
        x = graph.x.expand(count, *graph.x.shape)
    last = None if graph.last is None else adjacency_copies(graph.last, count)
    return replace(graph, x=x, adjacency=adjacency_copies(graph.adjacency, count), last=last)


def adjacency_copies(adjacency: Adjacency, count: int) -> Adjacency:
    """`count` copies on the diagonal, (r n, r n), with the very values of the one; edges are numbered copy by copy."""
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
    )


def features_copies(x: SparseFeatures, count: int) -> SparseFeatures:
    """`count` copies on the diagonal, (r n, r f)."""
    order = _shifted(x.order, x.order.numel(), count)
    return SparseFeatures(csr_copies(x.matrix, count), csr_copies(x.transpose, count), order)


def csr_copies(matrix: Tensor, count: int) -> Tensor:
    """The block-diagonal CSR matrix of `count` times the same block."""
    rows, columns = matrix.shape
    starts = _shifted(matrix.crow_indices()[:-1], matrix.values().numel(), count)
    end = starts.new_tensor([count * matrix.values().numel()])
    col = _shifted(matrix.col_indices(), columns, count)
    shape = (count * rows, count * columns)
    values = matrix.values().repeat(count)
    return torch.sparse_csr_tensor(torch.cat([starts, end]), col, values, shape, check_invariants=False)


def _shifted(numbers: Tensor, by: int, count: int) -> Tensor:
    """The numbers of every copy: those of copy k are `by * k` higher."""
    return (numbers + by * torch.arange(count, device=numbers.device, dtype=numbers.dtype)[:, None]).flatten()

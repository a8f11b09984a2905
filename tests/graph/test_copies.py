"""Copies of a graph side by side: the adjacency that their edges would give."""

import pytest
import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.batches import disjoint_copies
from depthlab.graph.copies import adjacency_copies, features_copies, graph_copies
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures

N = 6
EDGES = torch.tensor([[0, 1, 1, 3, 4, 2], [1, 0, 3, 1, 2, 4]])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_the_copies_are_what_their_edges_would_give(directed: bool, weighted: bool) -> None:
    edges = EDGES[:, ::2] if directed else EDGES
    weights = edges.sum(0).float() if weighted else None
    copies = adjacency_copies(gcn_adjacency(edges, N, weights), 3)
    expected = gcn_adjacency(disjoint_copies(edges, N, 3), 3 * N, weights.repeat(3) if weights is not None else None)
    if weighted:
        assert copies.weights is not None and expected.weights is not None
        assert torch.equal(copies.weights, expected.weights)
    assert copies.symmetric == expected.symmetric and copies.num_edges == expected.num_edges
    for name in ("row", "col", "pair", "order"):
        assert torch.equal(getattr(copies, name), getattr(expected, name)), name
    for name in ("matrix", "transpose"):
        assert torch.equal(getattr(copies, name).to_dense(), getattr(expected, name).to_dense()), name


def test_sparse_features_have_columns_of_their_own_and_dense_ones_are_shown_to_all() -> None:
    x = (torch.arange(12.0).view(3, 4) % 5 == 1).float() * torch.arange(12.0).view(3, 4)
    csr = x.to_sparse_csr()
    sparse = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (3, 4))
    copies = features_copies(sparse, 2)
    block = torch.block_diag(x, x)
    assert torch.equal(copies.to_dense(), block) and torch.equal(copies.transpose.to_dense(), block.T)
    assert torch.equal(copies.transpose.values(), copies.matrix.values()[copies.order])
    graph = Graph(x, gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), 3), torch.zeros(3).long(), *torch.arange(3).split(1))
    dense = graph_copies(graph, 2).x
    assert isinstance(dense, torch.Tensor) and torch.equal(dense, torch.stack([x, x])) and dense.stride(0) == 0

from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.nn.attention import DotAttention, entry_softmax
from depthlab.ops import MaskSource

N, CHANNELS, LONELY = 12, 6, 11
HEADS = pytest.mark.parametrize("heads", [1, 2, 3, 4])  # 4 does not divide the channels
DIRECTED = pytest.mark.parametrize("directed", [False, True])
DROPPED = pytest.mark.parametrize("dropped", [False, True])


def in_float64(edges: Tensor, num_nodes: int) -> Adjacency:
    adjacency = gcn_adjacency(edges, num_nodes)
    return adjacency.with_values(adjacency.values.double())


def pattern(directed: bool = False, dropped: bool = False) -> Adjacency:
    """The last node has no neighbours; some edges are dropped, or none."""
    edges = torch.randint(0, LONELY, (2, 20), generator=torch.Generator().manual_seed(1))
    adjacency = in_float64(edges if directed else torch.cat([edges, edges.flip(0)], 1), N)
    return DropEdge(0.4).sample(adjacency, MaskSource(0)) if dropped else adjacency


def states(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, CHANNELS, generator=generator, dtype=torch.float64).requires_grad_()


def attention(heads: int) -> DotAttention:
    torch.manual_seed(heads)
    return DotAttention(CHANNELS, heads).double()


def by_hand(model: DotAttention, x: Tensor, adjacency: Adjacency) -> Tensor:
    """The weights as a matrix, node by node and head by head."""
    alive = adjacency.matrix.to_dense() != 0
    rows = []
    for i in range(N):
        neighbours = [j for j in range(N) if j != i and alive[i, j]]
        row = x.new_zeros(N)
        for head in range(model.heads if neighbours else 0):
            part = slice(head * model.width, (head + 1) * model.width)
            query, keys = x[i] @ model.query[:, part], x[neighbours] @ model.key[:, part]
            weights = (keys @ query / model.width**0.5).softmax(0)
            row = row.index_put((torch.tensor(neighbours),), weights / model.heads, accumulate=True)
        rows.append(row)
    return torch.stack(rows)


@DROPPED
@DIRECTED
@HEADS
def test_equals_a_softmax_by_hand_and_its_gradients(heads: int, directed: bool, dropped: bool) -> None:
    adjacency, model, x = pattern(directed, dropped), attention(heads), states()
    expected = by_hand(model, x, adjacency)[adjacency.row, adjacency.col]
    weights = model(x, adjacency)
    torch.testing.assert_close(weights, expected)
    factor = torch.linspace(-1, 1, weights.numel()).double()
    ours, theirs = (torch.autograd.grad(a @ factor, (x, model.query, model.key)) for a in (weights, expected))
    torch.testing.assert_close(ours, theirs)


@HEADS
def test_gradients_against_finite_differences(heads: int) -> None:
    adjacency, model = pattern(dropped=True), attention(heads)

    def weights(x: Tensor, query: Tensor, key: Tensor) -> Any:
        return torch.func.functional_call(model, {"query": query, "key": key}, (x, adjacency))

    assert torch.autograd.gradcheck(weights, (states(), model.query, model.key))


@DROPPED
@DIRECTED
@HEADS
def test_weights_sum_to_one_over_the_neighbours(heads: int, directed: bool, dropped: bool) -> None:
    adjacency = pattern(directed, dropped)
    weights = attention(heads)(states(), adjacency)
    assert (weights[~adjacency.neighbours] == 0).all() and (weights[adjacency.neighbours] > 0).all()
    has_any = adjacency.row_sums(adjacency.neighbours.double()) > 0
    assert not has_any[LONELY] and has_any.sum() >= 5
    torch.testing.assert_close(adjacency.row_sums(weights), has_any.double())


@HEADS
def test_a_node_without_neighbours_has_no_weights_and_a_gradient_of_zero(heads: int) -> None:
    x, model = states(), attention(heads)
    weights = model(x, pattern())
    (weights**2).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert (x.grad[LONELY] == 0).all() and (x.grad[:LONELY] != 0).any()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in model.parameters())


def test_without_any_edge_all_weights_are_zero() -> None:
    adjacency = in_float64(torch.empty(2, 0, dtype=torch.long), N)
    x = states()
    weights = attention(2)(x, adjacency)
    weights.sum().backward()
    assert (weights == 0).all() and x.grad is not None and (x.grad == 0).all()


def test_a_single_neighbour_gets_all_the_weight() -> None:
    adjacency = in_float64(torch.tensor([[0, 1], [1, 0]]), 2)
    weights = attention(3)(100 * states()[:2], adjacency)
    torch.testing.assert_close(weights, (~adjacency.loops).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e3, 1e30, -1e30])
def test_scores_of_any_size_give_finite_weights(size: float, dtype: torch.dtype) -> None:
    adjacency = pattern(dropped=True)
    scores = (size * torch.linspace(0.5, 1, adjacency.row.numel())).to(dtype).requires_grad_()
    weights = entry_softmax(scores, adjacency.neighbours, adjacency)
    (grad,) = torch.autograd.grad(weights @ torch.linspace(-1, 1, len(weights)).to(dtype), scores)
    has_any = adjacency.row_sums(adjacency.neighbours.to(dtype)) > 0
    torch.testing.assert_close(adjacency.row_sums(weights), has_any.to(dtype))
    assert grad.isfinite().all()


def test_heads_do_not_see_each_other() -> None:
    adjacency = pattern()
    scores = torch.randn(adjacency.row.numel(), 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    together = entry_softmax(scores, adjacency.neighbours, adjacency)
    alone = [entry_softmax(column, adjacency.neighbours, adjacency) for column in scores.unbind(1)]
    torch.testing.assert_close(together, torch.stack(alone, 1))

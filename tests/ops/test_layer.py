"""The fused layer against the same maths in separate operations, and against dense float64."""

import pytest
import torch
from torch import Tensor

from src.graph.adjacency import Adjacency, gcn_adjacency
from src.ops import MaskSource, propagate, relu_dropout, residual_layer

NODES, WIDTH, CHANNELS = 30, 6, 5


@pytest.fixture
def adjacency() -> Adjacency:
    edges = torch.randint(0, NODES, (2, 70), generator=torch.Generator().manual_seed(0))
    return gcn_adjacency(torch.cat([edges, edges.flip(0)], dim=1), NODES)


def directed() -> Adjacency:
    edges = torch.randint(0, NODES, (2, 70), generator=torch.Generator().manual_seed(0))
    return gcn_adjacency(edges, NODES)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (NODES, WIDTH), (NODES, WIDTH), (WIDTH, CHANNELS)
    x, residual, weight = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return x, residual, weight


def gradients(state: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((state * torch.arange(1.0, CHANNELS + 1)).sum(), leaves)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_equals_the_separate_operations(adjacency: Adjacency, p: float) -> None:
    x, residual, weight = leaves = inputs()
    fused, scale = residual_layer(adjacency, x, residual, weight, scale=0.7, dropout=p, masks=MaskSource(3))
    support = propagate(adjacency, x, scale=0.7, residual=residual)
    apart, other_scale = relu_dropout(support @ weight, p, MaskSource(3))
    assert scale == other_scale
    torch.testing.assert_close(fused, apart)
    for one, other in zip(gradients(fused, leaves), gradients(apart, leaves), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("graph", [None, directed()], ids=["undirected", "directed"])
def test_equals_dense_float64(adjacency: Adjacency, graph: Adjacency | None) -> None:
    operator = graph or adjacency
    leaves = inputs()
    fused, _ = residual_layer(operator, *leaves, scale=0.7, dropout=0.0, masks=MaskSource(0))
    doubles = tuple(leaf.detach().double().requires_grad_() for leaf in leaves)
    x, residual, weight = doubles
    dense = torch.relu((0.7 * operator.matrix.to_dense().double() @ x + residual) @ weight)
    torch.testing.assert_close(fused.double(), dense, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(fused, leaves), gradients(dense, doubles), strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-4, rtol=1e-4)


def test_inputs_are_not_written_over(adjacency: Adjacency) -> None:
    leaves = inputs()
    before = [leaf.detach().clone() for leaf in leaves]
    state, _ = residual_layer(adjacency, *leaves, scale=0.7, dropout=0.5, masks=MaskSource(0))
    gradients(state, leaves)
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(leaves, before, strict=True))

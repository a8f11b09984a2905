"""The fused layers against the same maths in separate operations, and against dense float64."""

import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.ops import MaskSource, propagate, relu_dropout, residual_layers

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
    shapes = (NODES, WIDTH), (NODES, WIDTH), (1, WIDTH, CHANNELS)
    x, residual, weight = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return x, residual, weight


def gradients(state: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((state * torch.arange(1.0, CHANNELS + 1)).sum(), leaves)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_equals_the_separate_operations(adjacency: Adjacency, p: float) -> None:
    x, residual, weight = leaves = inputs()
    fused = residual_layers(lambda _: adjacency, x, residual, weight, scale=0.7, dropout=p, masks=MaskSource(3))
    support = propagate(adjacency, x, scale=0.7, residual=residual)
    apart = relu_dropout(support @ weight[0], p, MaskSource(3))
    torch.testing.assert_close(fused, apart)
    for one, other in zip(gradients(fused, leaves), gradients(apart, leaves), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("graph", [None, directed()], ids=["undirected", "directed"])
def test_equals_dense_float64(adjacency: Adjacency, graph: Adjacency | None) -> None:
    operator = graph or adjacency
    leaves = inputs()
    fused = residual_layers(lambda _: operator, *leaves, scale=0.7, dropout=0.0, masks=MaskSource(0))
    doubles = tuple(leaf.detach().double().requires_grad_() for leaf in leaves)
    x, residual, weight = doubles
    dense = torch.relu((0.7 * operator.matrix.to_dense().double() @ x + residual) @ weight[0])
    torch.testing.assert_close(fused.double(), dense, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(fused, leaves), gradients(dense, doubles), strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-4, rtol=1e-4)


def test_inputs_are_not_written_over(adjacency: Adjacency) -> None:
    leaves = inputs()
    before = [leaf.detach().clone() for leaf in leaves]
    state = residual_layers(lambda _: adjacency, *leaves, scale=0.7, dropout=0.5, masks=MaskSource(0))
    gradients(state, leaves)
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(leaves, before, strict=True))


def stacked(depth: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (NODES, CHANNELS), (NODES, CHANNELS), (depth, CHANNELS, CHANNELS)
    x, residual, weights = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return x, residual, weights


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("every", [1, 2, 3, 7, 100])
def test_many_layers_equal_one_after_another(adjacency: Adjacency, p: float, every: int) -> None:
    x, residual, weights = leaves = stacked()
    operators: list[Adjacency] = [adjacency, directed()] * 3 + [adjacency]
    masks = MaskSource(3)
    fused = residual_layers(operators.__getitem__, *leaves, scale=0.7, dropout=p, masks=masks, every=every)
    after, apart, others = masks.bits((40,), x.device), x, MaskSource(3)
    for operator, weight in zip(operators, weights, strict=True):
        support = propagate(operator, apart, scale=0.7, residual=residual)
        apart = relu_dropout(support @ weight, p, others)
    torch.testing.assert_close(fused, apart)
    loss = (fused * torch.arange(1.0, CHANNELS + 1)).sum()
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    again = torch.autograd.grad(loss, leaves)
    for one, two, other in zip(first, again, gradients(apart, leaves), strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, other)
    assert torch.equal(after, others.bits((40,), x.device))  # as many draws in both
    assert torch.equal(masks.bits((40,), x.device), others.bits((40,), x.device))  # none lost in recomputation


def test_recomputing_gives_the_very_same_numbers(adjacency: Adjacency) -> None:
    found = []
    for every in (1, 3):
        leaves = stacked()
        masks = MaskSource(0)
        state = residual_layers(lambda _: adjacency, *leaves, scale=0.7, dropout=0.5, masks=masks, every=every)
        found.append([state, *gradients(state, leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("every", [1, 3])
def test_one_state_a_layer_or_a_segment_is_kept(adjacency: Adjacency, every: int) -> None:
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    leaves = stacked(9)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        residual_layers(lambda _: adjacency, *leaves, scale=0.7, dropout=0.5, masks=MaskSource(0), every=every)
    between = 8 if every == 1 else 2 + 2  # the starts of segments, and the whole of the last one
    for leaf in leaves:
        del kept[leaf.untyped_storage().data_ptr()]
    (block,) = kept.values()  # all in one: blocks that come and go between them would leave holes
    assert block == (between + 1) * leaves[0].nbytes


def test_without_gradients_the_state_is_the_same(adjacency: Adjacency) -> None:
    leaves = stacked()
    states = []
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            masks = MaskSource(0)
            states.append(residual_layers(lambda _: adjacency, *leaves, scale=0.7, dropout=0.5, masks=masks))
    assert torch.equal(*states) and not states[1].requires_grad

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from depthlab.measures.sensitivity import hop_distance, sensitivity
from tests.measures.conftest import binary_tree, cycle, path, random_graph

EVERY = torch.arange(12)


def weights(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def propagation(edge_index: Tensor, n: int) -> Tensor:
    a = torch.eye(n, dtype=torch.float64).index_put(tuple(edge_index), torch.tensor(1.0, dtype=torch.float64))
    root = a.sum(1).sqrt()
    return a / root[:, None] / root


class Net:
    """relu(P H W) in every layer but the last, which is linear; without relu where `linear`."""

    def __init__(self, edge_index: Tensor, n: int, sizes: list[int], linear: bool = False) -> None:
        self.p, self.linear = propagation(edge_index, n), linear
        self.weights = [weights(a, b, seed=k) for k, (a, b) in enumerate(pairwise(sizes))]

    def __call__(self, x: Tensor) -> Tensor:
        for layer, weight in enumerate(self.weights, start=1):
            x = self.p @ x @ weight
            if layer < len(self.weights) and not self.linear:
                x = x.relu()
        return x


def distances(edge_index: Tensor, n: int) -> Tensor:
    """(n, n) by powers of I + A; infinite between components."""
    step, reached = (propagation(edge_index, n) > 0).double(), torch.eye(n, dtype=torch.float64)
    found = torch.full((n, n), math.inf)
    for k in range(n):
        found[(reached > 0) & found.isinf()] = k
        reached = ((reached @ step) > 0).double()
    return found


def mean_by_distance(norms: Tensor, far: Tensor, hops: int) -> list[float]:
    return [float(norms[far == k].mean()) for k in range(hops + 1)]  # the mean of nothing is NaN


@pytest.mark.parametrize("edge_index", [path(12), cycle(12), binary_tree(12), random_graph(12, 0.25)])
def test_a_linear_network_has_a_closed_form(edge_index: Tensor) -> None:
    net = Net(edge_index, 12, [6, 5, 4, 3], linear=True)
    found = sensitivity(net, weights(12, 6, seed=9), edge_index, EVERY, 4)
    power, product = torch.linalg.matrix_power(net.p, 3), net.weights[0] @ net.weights[1] @ net.weights[2]
    expected = mean_by_distance(power * product.norm(), distances(edge_index, 12), 4)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert found[0] > 0 and (found[4] == 0 or math.isnan(found[4]))


@pytest.mark.parametrize("seed", range(3))
def test_equality_with_the_whole_jacobian(seed: int) -> None:
    edge_index, x, nodes = random_graph(12, 0.2, seed), weights(12, 5, seed=9), torch.tensor([7, 2, 11])
    net = Net(edge_index, 12, [5, 6, 6, 3])

    jacobian = torch.autograd.functional.jacobian(net, x)  # (n, channels, n, features)
    norms = jacobian.square().sum((1, 3)).sqrt()[nodes]
    expected = mean_by_distance(norms, distances(edge_index, 12)[nodes], 6)
    found = sensitivity(net, x, edge_index, nodes, 6)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert sum(value > 0 for value in found) >= 3


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_beyond_the_layers_it_is_exactly_zero(depth: int) -> None:
    net = Net(path(12), 12, [3] * (depth + 1))
    found = sensitivity(net, weights(12, 3, seed=9).abs(), path(12), EVERY, 11)
    assert all(value > 0 for value in found[: depth + 1]) and found[depth + 1 :] == [0.0] * (11 - depth)


def test_tiny_gradients_do_not_underflow() -> None:
    net = Net(path(3), 3, [2, 2], linear=True)
    net.p, net.weights = net.p.float(), [net.weights[0].float() * 1e-30]
    expected = float(net.p.diagonal().double().mean() * net.weights[0].double().norm())
    found = sensitivity(net, weights(3, 2).float(), path(3), torch.arange(3), 1)
    assert found[0] == pytest.approx(expected, rel=1e-5) and 0 < found[0] < 1e-29


def test_relabelling_changes_nothing() -> None:
    edge_index, x, new = random_graph(12, 0.25), weights(12, 4, seed=9), torch.randperm(12)
    moved = torch.empty_like(x).index_copy(0, new, x)
    found = sensitivity(Net(new[edge_index], 12, [4, 5, 3]), moved, new[edge_index], new[:5], 3)
    assert found == pytest.approx(sensitivity(Net(edge_index, 12, [4, 5, 3]), x, edge_index, EVERY[:5], 3), rel=1e-12)


def test_without_edges_a_node_sees_itself_alone() -> None:
    no_edges = torch.empty(2, 0, dtype=torch.long)
    net = Net(no_edges, 12, [4, 3], linear=True)
    found = sensitivity(net, weights(12, 4), no_edges, EVERY, 2)
    assert found[0] == pytest.approx(float(net.weights[0].norm())) and all(map(math.isnan, found[1:]))


def test_a_state_that_does_not_depend_on_the_features_scores_zero() -> None:
    assert sensitivity(lambda _: weights(12, 3).requires_grad_(), weights(12, 4), cycle(12), EVERY, 1) == [0.0, 0.0]


def test_inputs_are_left_as_they_are() -> None:
    edge_index, x, weight = cycle(12), weights(12, 4), weights(4, 2).requires_grad_()
    before = edge_index.clone(), x.clone()
    with torch.no_grad():
        found = sensitivity(lambda x: x @ weight, x, edge_index, EVERY, 1)
    assert found == pytest.approx([float(weight.detach().norm()), 0.0])
    assert torch.equal(edge_index, before[0]) and torch.equal(x, before[1])
    assert not x.requires_grad and weight.grad is None


@pytest.mark.parametrize("edge_index", [path(12), binary_tree(12), random_graph(12, 0.1), random_graph(12, 0.3)])
def test_hop_distance(edge_index: Tensor) -> None:
    expected, nodes = distances(edge_index, 12), torch.tensor([3, 0, 10])
    for hops in (0, 2, 12):
        known = torch.where(expected[nodes] <= hops, expected[nodes], -1).long()
        assert torch.equal(hop_distance(edge_index, 12, nodes, hops), known)

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import nn as pyg
from torch_geometric.utils import scatter

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.g2 import G2, gate_speed
from tests.nn.conftest import HIDDEN, N

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
SHARED = pytest.mark.parametrize("shared", [True, False])


def make(settings: Any, shared: bool) -> G2:
    torch.manual_seed(0)
    return G2(**settings, shared=shared).double()


def pairs(model: G2) -> list[tuple[Tensor, Tensor]]:
    both = list(zip(model.weights, model.gates, strict=True))
    return both * model.depth if model.shared else both


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    a = ((p != 0) & ~torch.eye(N, dtype=torch.bool)).double()
    mean = a / a.sum(1, keepdim=True).clamp_min(1)
    state = F.relu(drop(x) @ model.encoder.weight + model.encoder.bias)
    for weight, gate in pairs(model):
        seen = F.relu(p @ state @ gate)
        tau = torch.tanh(torch.einsum("ij,ijc->ic", mean, (seen - seen[:, None]).abs() ** 2))
        state = (1 - tau) * state + tau * F.relu(p @ state @ weight)
    return drop(state) @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@SHARED
@DEPTH
def test_equals_the_dense_equation(
    depth: int, shared: bool, dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=dropout), shared), dense)


@SHARED
@DEPTH
def test_equals_a_loop_over_pyg_layers(depth: int, shared: bool, settings: Any, graph: Graph) -> None:
    def convolution(weight: Tensor, x: Tensor) -> Any:
        layer = pyg.GCNConv(HIDDEN, HIDDEN, bias=False).double()
        layer.lin.weight.data = weight.T
        return layer(x, graph.edge_index).relu()

    model, (source, target) = make(settings(depth), shared), graph.edge_index
    assert isinstance(graph.x, Tensor)
    x = (graph.x @ model.encoder.weight + model.encoder.bias).relu()
    for weight, gate in pairs(model):
        seen = convolution(gate, x)
        tau = scatter((seen[source] - seen[target]).square(), target, dim_size=N, reduce="mean").tanh()
        x = (1 - tau) * x + tau * convolution(weight, x)
    torch.testing.assert_close(model(graph.x, graph.adjacency), x @ model.decoder.weight + model.decoder.bias)


@SHARED
def test_states_begin_with_the_encoded_features(shared: bool, settings: Any, graph: Graph) -> None:
    model = make(settings(3), shared)
    seen = list(states(model, graph.x, graph.adjacency))
    assert len(seen) == 4
    assert {tuple(state.shape) for state in seen} == {(N, HIDDEN)}
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(seen[0], (graph.x @ model.encoder.weight + model.encoder.bias).relu())


@pytest.mark.parametrize(("shared", "count"), [(True, 2), (False, 8)])
def test_shared_layers_cost_one_pair_of_weights(shared: bool, count: int, settings: Any) -> None:
    assert len([*make(settings(4), shared).weights, *make(settings(4), shared).gates]) == count


def test_speed_is_zero_where_neighbours_are_alike_and_without_neighbours() -> None:
    adjacency = gcn_adjacency(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]), 5)
    x = torch.tensor([[1.0], [3.0], [2.0], [2.0], [7.0]])
    expected = torch.tensor([4.0, 4.0, 0.0, 0.0, 0.0]).tanh()
    torch.testing.assert_close(gate_speed(adjacency, x).squeeze(1), expected)

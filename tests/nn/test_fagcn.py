from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import nn as pyg

from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.fagcn import FAGCN, signed
from tests.nn.conftest import HIDDEN, N

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
EPSILON = pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])


def make(settings: Any, epsilon: float) -> FAGCN:
    torch.manual_seed(0)
    return FAGCN(**settings, epsilon=epsilon).double()


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    a = ((p != 0) & ~torch.eye(N, dtype=torch.bool)).double()
    root = a.sum(1).pow(-0.5).where(a.sum(1) > 0, 0)
    h = h0 = drop(F.relu(drop(x) @ model.encoder.weight + model.encoder.bias))
    for gate in model.gates:
        coefficient = torch.tanh(h @ gate[:, :1] + (h @ gate[:, 1:]).T)
        h = model.epsilon * h0 + (a * coefficient * root * root[:, None]) @ h
    return drop(h) @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@EPSILON
@DEPTH
def test_equals_the_dense_equation(
    depth: int, epsilon: float, dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=dropout), epsilon), dense)


@EPSILON
@DEPTH
def test_equals_pyg_layers(depth: int, epsilon: float, settings: Any, graph: Graph) -> None:
    model = make(settings(depth), epsilon)
    assert isinstance(graph.x, Tensor)
    h = h0 = (graph.x @ model.encoder.weight + model.encoder.bias).relu()
    for gate in model.gates:
        convolution = pyg.FAConv(HIDDEN, eps=epsilon, add_self_loops=False).double()
        convolution.att_r.weight.data, convolution.att_l.weight.data = gate[None, :, 0], gate[None, :, 1]
        h = convolution(h, h0, graph.edge_index)
    torch.testing.assert_close(model(graph.x, graph.adjacency), h @ model.decoder.weight + model.decoder.bias)


def test_states_begin_with_the_initial_residual(settings: Any, graph: Graph) -> None:
    model = make(settings(3), 0.3)
    seen = list(states(model, graph.x, graph.adjacency))
    assert len(seen) == 4
    assert {tuple(state.shape) for state in seen} == {(N, HIDDEN)}
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(seen[0], (graph.x @ model.encoder.weight + model.encoder.bias).relu())


@pytest.mark.parametrize("sign", [-1, 1])
def test_neighbours_can_be_added_and_subtracted(sign: int, graph: Graph) -> None:
    weights = signed(graph.adjacency, torch.full((N, 2), sign * 50.0, dtype=torch.float64))
    a = torch.zeros(N, N, dtype=torch.float64)
    a[tuple(graph.edge_index)] = 1
    degree = a.sum(1).clamp_min(1)
    torch.testing.assert_close(weights.matrix.to_dense(), sign * a / (degree * degree[:, None]).sqrt())

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric import nn as pyg

from depthlab.graph.graph import Graph
from depthlab.nn.adgn import ADGN
from depthlab.nn.execution import states
from tests.nn.conftest import HIDDEN, N

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
KNOBS = pytest.mark.parametrize("knobs", [{}, {"epsilon": 0.7, "gamma": 0.0}, {"epsilon": 1.0, "gamma": 0.5}], ids=str)


def make(settings: Any, knobs: dict[str, Any]) -> ADGN:
    torch.manual_seed(0)
    model = ADGN(**settings, **knobs).double()
    torch.nn.init.normal_(model.bias)
    return model


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    w, identity = model.weight, torch.eye(HIDDEN, dtype=torch.float64)
    own = (w - w.T - model.gamma * identity).T
    state = drop(x) @ model.encoder.weight + model.encoder.bias
    for _ in range(model.depth):
        state = state + model.epsilon * torch.tanh(state @ own + p @ state @ model.neighbour_weight + model.bias)
    return drop(state) @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@KNOBS
@DEPTH
def test_equals_the_dense_equation(
    depth: int, knobs: dict[str, Any], dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=dropout), knobs), dense)


@KNOBS
@DEPTH
def test_equals_pyg_layer(depth: int, knobs: dict[str, Any], settings: Any, graph: Graph) -> None:
    model = make(settings(depth), knobs)
    phi = pyg.GCNConv(HIDDEN, HIDDEN, bias=False)
    layer = pyg.AntiSymmetricConv(HIDDEN, phi, num_iters=depth, epsilon=model.epsilon, gamma=model.gamma).double()
    layer.W.data, layer.bias.data, phi.lin.weight.data = model.weight, model.bias, model.neighbour_weight.T
    assert isinstance(graph.x, Tensor)
    state = layer(graph.x @ model.encoder.weight + model.encoder.bias, graph.edge_index)
    torch.testing.assert_close(model(graph.x, graph.adjacency), state @ model.decoder.weight + model.decoder.bias)


def test_states_begin_with_the_encoded_features(settings: Any, graph: Graph) -> None:
    model = make(settings(3), {})
    logits, seen = model(graph.x, graph.adjacency), list(states(model, graph.x, graph.adjacency))
    assert len(seen) == 4
    assert {tuple(state.shape) for state in seen} == {(N, HIDDEN)}
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(seen[0], graph.x @ model.encoder.weight + model.encoder.bias)
    torch.testing.assert_close(seen[3] @ model.decoder.weight + model.decoder.bias, logits)


def test_depth_costs_no_weights(settings: Any) -> None:
    shallow, deep = (sum(p.numel() for p in make(settings(depth), {}).parameters()) for depth in (1, 6))
    assert shallow == deep

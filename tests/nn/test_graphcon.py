from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import nn as pyg

from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.graphcon import GraphCON
from tests.nn.conftest import HIDDEN, N

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
KNOBS = pytest.mark.parametrize(
    "knobs", [{}, {"dt": 0.3, "gamma": 0.7, "alpha": 0.2}, {"gamma": 0.0}, {"alpha": 0.0}], ids=str
)


def make(settings: Any, knobs: dict[str, Any]) -> GraphCON:
    torch.manual_seed(0)
    model = GraphCON(**settings, **knobs).double()
    for bias in model.biases:
        torch.nn.init.normal_(bias)
    return model


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    position = velocity = drop(x) @ model.encoder.weight + model.encoder.bias
    for weight, bias in zip(model.weights, model.biases, strict=True):
        acceleration = F.relu(p @ position @ weight + bias) - model.gamma * position - model.alpha * velocity
        velocity = velocity + model.dt * acceleration
        position = position + model.dt * velocity
    return drop(position) @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@KNOBS
@DEPTH
def test_equals_the_dense_equation(
    depth: int, knobs: dict[str, Any], dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=dropout), knobs), dense)


@KNOBS
@DEPTH
def test_equals_a_loop_over_pyg_layers(depth: int, knobs: dict[str, Any], settings: Any, graph: Graph) -> None:
    model = make(settings(depth), knobs)
    assert isinstance(graph.x, Tensor)
    x = y = graph.x @ model.encoder.weight + model.encoder.bias
    for weight, bias in zip(model.weights, model.biases, strict=True):
        convolution = pyg.GCNConv(HIDDEN, HIDDEN).double()
        convolution.lin.weight.data, convolution.bias.data = weight.T, bias
        y = y + model.dt * (convolution(x, graph.edge_index).relu() - model.gamma * x - model.alpha * y)
        x = x + model.dt * y
    torch.testing.assert_close(model(graph.x, graph.adjacency), x @ model.decoder.weight + model.decoder.bias)


def test_states_are_positions_and_begin_with_the_encoded_features(settings: Any, graph: Graph) -> None:
    model = make(settings(3), {"dt": 0.5})
    logits, seen = model(graph.x, graph.adjacency), list(states(model, graph.x, graph.adjacency))
    assert len(seen) == 4
    assert {tuple(state.shape) for state in seen} == {(N, HIDDEN)}
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(seen[0], graph.x @ model.encoder.weight + model.encoder.bias)
    torch.testing.assert_close(seen[3] @ model.decoder.weight + model.decoder.bias, logits)

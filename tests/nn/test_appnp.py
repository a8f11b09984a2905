from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import nn as pyg

from depthlab.graph.graph import Graph
from depthlab.nn.appnp import APPNP
from depthlab.nn.execution import states

DEPTH = pytest.mark.parametrize("depth", [1, 2, 10])


def perceptron(model: Any, x: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    first, second = model.encoder
    return drop(F.relu(drop(x) @ first.weight + first.bias)) @ second.weight + second.bias


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    z = z0 = perceptron(model, x, drop)
    for _ in range(model.depth):
        z = (1 - model.alpha) * p @ z + model.alpha * z0
    return z


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
@DEPTH
def test_equals_the_dense_equation(
    depth: int, alpha: float, dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(APPNP(**settings(depth, dropout=dropout), alpha=alpha), dense)


@DEPTH
def test_propagation_equals_pyg(depth: int, settings: Any, graph: Graph) -> None:
    model = APPNP(**settings(depth), alpha=0.2).double()
    assert isinstance(graph.x, Tensor)
    z0 = perceptron(model, graph.x, lambda h: h)
    expected = pyg.APPNP(K=depth, alpha=0.2)(z0, graph.edge_index)
    torch.testing.assert_close(model(graph.x, graph.adjacency), expected)


def test_states_begin_with_the_prediction_and_end_with_the_logits(settings: Any, graph: Graph) -> None:
    model = APPNP(**settings(3)).double()
    logits, seen = model(graph.x, graph.adjacency), list(states(model, graph.x, graph.adjacency))
    assert len(seen) == 4
    assert torch.equal(seen[3], logits)
    assert isinstance(graph.x, Tensor)
    torch.testing.assert_close(seen[0], perceptron(model, graph.x, lambda h: h))

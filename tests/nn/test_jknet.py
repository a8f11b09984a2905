from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GCNConv, JumpingKnowledge

from depthlab.graph.graph import Graph
from depthlab.nn.jknet import JKNet

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
MODE = pytest.mark.parametrize("mode", ["cat", "max"])


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    h, states = drop(x), []
    for weight in model.weights:
        h = drop(F.relu(p @ h @ weight))
        states.append(h)
    jump = torch.cat(states, 1) if model.mode == "cat" else torch.stack(states).amax(0)
    return jump @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@MODE
@DEPTH
def test_equals_the_dense_equation(
    depth: int, mode: str, dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    torch.manual_seed(depth)
    assert_same_as_dense(JKNet(**settings(depth, dropout=dropout), mode=mode), dense)


@MODE
@DEPTH
def test_equals_pyg_layers(depth: int, mode: str, settings: Any, graph: Graph) -> None:
    torch.manual_seed(depth)
    model = JKNet(**settings(depth), mode=mode).double()
    h, states = graph.x, []
    for weight in model.weights:
        convolution = GCNConv(weight.shape[0], weight.shape[1], bias=False).double()
        convolution.lin.weight.data = weight.T
        h = convolution(h, graph.edge_index).relu()
        states.append(h)
    expected = JumpingKnowledge(mode)(states) @ model.decoder.weight + model.decoder.bias
    torch.testing.assert_close(model(graph.x, graph.adjacency), expected)

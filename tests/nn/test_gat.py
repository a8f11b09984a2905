from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import nn as pyg

from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.gat import GAT
from tests.nn.conftest import CLASSES, FEATURES, N

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
HEADS = pytest.mark.parametrize("heads", [1, 2, 8])  # 8 are more than the hidden channels


def make(settings: Any, heads: int) -> GAT:
    torch.manual_seed(0)
    model = GAT(**settings, heads=heads).double()
    for bias in model.biases:
        torch.nn.init.normal_(bias)
    return model


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    state, last = x, model.depth - 1
    for layer, weight in enumerate(model.weights):
        h = (drop(state) @ weight).unflatten(1, model.receiver[layer].shape)
        to, of = ((h * ends[layer]).sum(2) for ends in (model.receiver, model.sender))
        scores = F.leaky_relu(to.unsqueeze(1) + of, 0.2).masked_fill((p == 0).unsqueeze(2), -torch.inf)
        z = torch.einsum("ijh,jhc->ihc", scores.softmax(1), h).flatten(1) + model.biases[layer]
        state = z if layer == last else F.elu(model.norms[layer](z))
    return state


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@HEADS
@DEPTH
def test_equals_the_dense_equation(
    depth: int, heads: int, dropout: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=dropout), heads), dense)


@pytest.mark.parametrize("norm", ["batch", "layer", "pair"])
def test_norm_stands_between_propagation_and_elu(norm: str, settings: Any, assert_same_as_dense: Any) -> None:
    assert_same_as_dense(make(settings(3, norm=norm), 2), dense)


@HEADS
@DEPTH
def test_equals_pyg_layers(depth: int, heads: int, settings: Any, graph: Graph) -> None:
    model, h = make(settings(depth), heads), graph.x
    for layer, weight in enumerate(model.weights):
        count, width = model.receiver[layer].shape
        convolution = pyg.GATConv(weight.shape[0], width, heads=count).double()
        convolution.lin.weight.data = weight.T
        convolution.att_dst.data, convolution.att_src.data = model.receiver[layer][None], model.sender[layer][None]
        convolution.bias.data = model.biases[layer]
        h = convolution(h, graph.edge_index)
        h = h if layer == depth - 1 else F.elu(h)
    torch.testing.assert_close(model(graph.x, graph.adjacency), h)


@pytest.mark.parametrize(("heads", "width"), [(1, 5), (2, 4), (8, 8)])
def test_states_are_the_features_the_heads_side_by_side_and_the_logits(
    heads: int, width: int, settings: Any, graph: Graph
) -> None:
    model = make(settings(3), heads)
    logits, seen = model(graph.x, graph.adjacency), list(states(model, graph.x, graph.adjacency))
    assert seen[0] is graph.x and torch.equal(seen[3], logits)
    assert [tuple(state.shape) for state in seen] == [(N, FEATURES), (N, width), (N, width), (N, CLASSES)]

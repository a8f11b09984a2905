from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.last_layer import LastLayer
from depthlab.nn.gcn import GCN
from tests.nn.conftest import CLASSES, FEATURES, HIDDEN

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])


def make(settings: Any, depth: int, bias: bool, dropout: float = 0.0) -> GCN:
    torch.manual_seed(depth)
    model = GCN(**settings(depth, dropout=dropout), bias=bias).double()
    for parameter in model.biases or []:
        torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("new", [0, 2])
@DEPTH
def test_a_graph_of_its_own_for_the_last_layer(depth: int, new: int, settings: Any, graph: Graph) -> None:
    model = make(settings, depth, bias=False)
    assert isinstance(graph.x, Tensor)
    n = len(graph.y) + new
    edges = torch.combinations(torch.arange(n))[::3].T
    rewired = graph.rewired(F.pad(graph.x, (0, 0, 0, new)), torch.cat([edges, edges.flip(0)], 1), last_of=depth)

    def dense_p(pairs: Tensor) -> Tensor:
        a = torch.eye(n, dtype=torch.float64)
        a[pairs[0], pairs[1]] = 1
        inverse_root = a.sum(1).rsqrt()
        return inverse_root[:, None] * a * inverse_root

    first, last = dense_p(graph.edge_index), dense_p(torch.cat([edges, edges.flip(0)], 1))
    assert isinstance(rewired.x, Tensor)
    h = rewired.x
    for layer, weight in enumerate(model.weights, start=1):
        h = last @ h @ weight if layer == depth else F.relu(first @ h @ weight)
    layers = LastLayer(exact(rewired.layers.at(0)), exact(rewired.layers.at(depth - 1)), depth)
    torch.testing.assert_close(model(rewired.x, layers), h)


def exact(adjacency: Adjacency) -> Adjacency:
    """The adjacency with values of float64."""
    return adjacency.normalized(torch.ones(adjacency.num_edges, dtype=torch.float64))


def test_a_directed_graph_passes_messages_from_source_to_target(settings: Any) -> None:
    model = make(settings, 1, bias=False)
    x = torch.zeros(3, FEATURES, dtype=torch.float64)
    x[0] = 1
    adjacency = gcn_adjacency(torch.tensor([[0], [1]]), 3)
    logits = model(x, adjacency.normalized(torch.ones(1, dtype=torch.float64)))
    torch.testing.assert_close(logits, model.weights[0].sum(0) * torch.tensor([[1.0], [0.5**0.5], [0.0]]).double())


def test_parameters_are_the_weights_and_the_biases_asked_for(settings: Any) -> None:
    model = make(settings, 3, bias=True)
    first, hidden, last = FEATURES, HIDDEN, CLASSES
    shapes = [tuple(parameter.shape) for parameter in make(settings, 3, bias=False).parameters()]
    assert shapes == [(first, hidden), (hidden, hidden), (hidden, last)]
    assert [tuple(b.shape) for b in model.biases or []] == [(hidden,), (hidden,), (last,)]
    assert not any(b.any() for b in GCN(**settings(2), bias=True).biases or [])

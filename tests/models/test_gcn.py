from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

from src.graph.adjacency import gcn_adjacency
from src.graph.graph import Graph
from src.models.base import Settings
from src.models.gcn import GCN
from src.ops import MaskSource
from src.ops.masks import draw_threshold

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3
DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
BIAS = pytest.mark.parametrize("bias", [False, True])


def make_graph() -> Graph:
    """Random and undirected, everything in float64."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, N, (2, 25), generator=generator)
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)
    adjacency = adjacency.normalized(torch.ones(adjacency.row.numel(), dtype=torch.float64))
    x = torch.randn(N, FEATURES, generator=generator, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (N,), generator=generator)
    return Graph(x, adjacency, y, *torch.arange(N).split(5))


def make_model(depth: int, bias: bool, dropout: float = 0.0) -> GCN:
    torch.manual_seed(depth)
    model = GCN(Settings(FEATURES, CLASSES, depth, hidden=HIDDEN, dropout=dropout, seed=3), bias=bias).double()
    for parameter in model.biases or []:
        torch.nn.init.normal_(parameter)
    return model


def dense_pass(model: GCN, graph: Graph, drop: Callable[[Tensor], Tensor]) -> Tensor:
    p, h = graph.adjacency.matrix.to_dense(), graph.x
    assert isinstance(h, Tensor)
    for layer, weight in enumerate(model.weights, start=1):
        h = p @ drop(h) @ weight
        if model.biases is not None:
            h = h + model.biases[layer - 1]
        if layer < len(model.weights):
            h = F.relu(h)
    return h


def gradients(model: GCN, logits: Tensor, graph: Graph) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(logits, graph.y), list(model.parameters())))


@BIAS
@DEPTH
def test_logits_and_gradients_equal_a_stack_of_pyg_layers(depth: int, bias: bool) -> None:
    graph, model = make_graph(), make_model(depth, bias)
    sizes = [FEATURES] + [HIDDEN] * (depth - 1) + [CLASSES]
    convolutions = [GCNConv(a, b, bias=bias).double() for a, b in pairwise(sizes)]
    h = graph.x
    assert isinstance(h, Tensor)
    for layer, convolution in enumerate(convolutions):
        with torch.no_grad():
            convolution.lin.weight.copy_(model.weights[layer].T)
            if model.biases is not None:
                convolution.bias.copy_(model.biases[layer])
        h = convolution(h, graph.edge_index)
        h = h.relu() if layer < depth - 1 else h
    logits = model(graph.x, graph.adjacency)
    torch.testing.assert_close(logits, h)
    F.cross_entropy(h, graph.y).backward()
    expected = [c.lin.weight.grad.T for c in convolutions] + [c.bias.grad for c in convolutions if bias]
    torch.testing.assert_close(gradients(model, logits, graph), expected)


@BIAS
@DEPTH
def test_evaluation_equals_the_dense_equation(depth: int, bias: bool) -> None:
    graph, model = make_graph(), make_model(depth, bias, dropout=0.5).eval()
    logits, expected = model(graph.x, graph.adjacency), dense_pass(model, graph, lambda h: h)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(gradients(model, logits, graph), gradients(model, expected, graph))


@pytest.mark.parametrize("p", [0.3, 0.6])
@BIAS
@DEPTH
def test_training_equals_the_dense_equation_under_the_same_masks(depth: int, bias: bool, p: float) -> None:
    graph, model = make_graph(), make_model(depth, bias, dropout=p)
    masks, (threshold, scale) = MaskSource(3), draw_threshold(p)

    def drop(h: Tensor) -> Tensor:
        return h * (masks.lanes(tuple(h.shape), h.device) > threshold) * scale

    logits, expected = model(graph.x, graph.adjacency), dense_pass(model, graph, drop)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(gradients(model, logits, graph), gradients(model, expected, graph))


def test_a_directed_graph_passes_messages_from_source_to_target() -> None:
    model = make_model(1, bias=False)
    edge_index = torch.tensor([[0], [1]])
    x = torch.zeros(3, FEATURES, dtype=torch.float64)
    x[0] = 1
    adjacency = gcn_adjacency(edge_index, 3)
    logits = model(x, adjacency.normalized(torch.ones(4, dtype=torch.float64)))
    torch.testing.assert_close(logits, model.weights[0].sum(0) * torch.tensor([[1.0], [0.5**0.5], [0.0]]).double())


def test_parameters_are_the_weights_and_the_biases_asked_for() -> None:
    shapes = [tuple(parameter.shape) for parameter in make_model(3, bias=False).parameters()]
    assert shapes == [(FEATURES, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, CLASSES)]
    assert [tuple(b.shape) for b in make_model(3, bias=True).biases or []] == [(HIDDEN,), (HIDDEN,), (CLASSES,)]
    fresh = GCN(Settings(FEATURES, CLASSES, 2, hidden=HIDDEN), bias=True)
    assert not any(b.any() for b in fresh.biases or [])


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_roc_auc_counts_the_pairs_in_order_however_large_the_logits(size: float) -> None:
    torch.manual_seed(0)
    graph, model = make_graph(), GCN(Settings(FEATURES, 2, 2, hidden=HIDDEN, roc_auc=True)).double().eval()
    graph = replace(graph, y=torch.arange(N) % 2)
    with torch.no_grad():
        model.weights[1].mul_(size)
        model.test_step(graph)
        margin = model(graph.x, graph.adjacency).diff(dim=1).squeeze(1)
    for part, nodes in (("val", graph.val), ("test", graph.test)):
        first, second = (margin[nodes][graph.y[nodes] == label] for label in (1, 0))
        in_order = float((first[:, None] > second).double().mean())
        assert float(model.scores[f"{part}_roc_auc"]) == pytest.approx(in_order)

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

from src.graph.adjacency import gcn_adjacency
from src.graph.graph import Graph
from src.models.base import Settings
from src.models.residual_gcn import ResidualGCN
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


def make_model(depth: int, bias: bool, dropout: float = 0.0) -> ResidualGCN:
    torch.manual_seed(depth)
    model = ResidualGCN(Settings(FEATURES, CLASSES, depth, hidden=HIDDEN, dropout=dropout, seed=3), bias=bias).double()
    for parameter in model.biases or []:
        torch.nn.init.normal_(parameter)
    return model


def dense_pass(model: ResidualGCN, graph: Graph, drop: Callable[[Tensor], Tensor]) -> Tensor:
    p, h = graph.adjacency.matrix.to_dense(), graph.x
    assert isinstance(h, Tensor)
    for layer, weight in enumerate(model.weights, start=1):
        z = p @ drop(h) @ weight
        if model.biases is not None:
            z = z + model.biases[layer - 1]
        if layer == len(model.weights):
            return z
        h = F.relu(z) if layer == 1 else F.relu(z) + h
    raise AssertionError("depth is at least 1")


def gradients(model: ResidualGCN, logits: Tensor, graph: Graph) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(logits, graph.y), list(model.parameters())))


@BIAS
@DEPTH
def test_logits_and_gradients_equal_pyg_layers_with_residuals(depth: int, bias: bool) -> None:
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
        z = convolution(h, graph.edge_index)
        h = z if layer == depth - 1 else z.relu() if layer == 0 else z.relu() + h
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


@BIAS
def test_silent_hidden_layers_pass_the_first_state_on(bias: bool) -> None:
    graph, deep, shallow = make_graph(), make_model(6, bias), make_model(2, bias)
    with torch.no_grad():
        for layer in range(1, 5):
            deep.weights[layer].zero_()
            if deep.biases is not None:
                deep.biases[layer].fill_(-1)
        shallow.load_state_dict(
            {name.replace(".5", ".1"): value for name, value in deep.state_dict().items() if name[-1] in "05"}
        )
    torch.testing.assert_close(deep(graph.x, graph.adjacency), shallow(graph.x, graph.adjacency))

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GCN2Conv

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.gcnii import GCNII
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3
DEPTH = pytest.mark.parametrize("depth", [1, 2, 8, 32])
STAR = pytest.mark.parametrize("star", [False, True])
IDENTITY_MAP = pytest.mark.parametrize("identity_map", [False, True])


def make_graph() -> Graph:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, N, (2, 25), generator=generator)
    x = torch.randn(N, FEATURES, generator=generator)
    y = torch.randint(0, CLASSES, (N,), generator=generator)
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)
    return Graph(x, adjacency, y, *torch.arange(N).split(5))


def make_model(depth: int, star: bool, identity_map: bool, dropout: float = 0.0) -> GCNII:
    torch.manual_seed(depth)
    settings: dict[str, Any] = {
        "in_channels": FEATURES,
        "out_channels": CLASSES,
        "depth": depth,
        "hidden": HIDDEN,
        "dropout": dropout,
    }
    return GCNII(**settings, alpha=0.2, theta=0.7, identity_map=identity_map, star=star)


def dense_pass(model: GCNII, graph: Graph, identity_map: bool, drop: Callable[[Tensor], Tensor]) -> Tensor:
    """The equation in float64, with alpha = 0.2 and theta = 0.7."""
    assert isinstance(graph.x, Tensor)
    p, one = graph.adjacency.matrix.to_dense().double(), torch.eye(HIDDEN, dtype=torch.float64)
    h0 = F.relu(drop(graph.x.double()) @ model.encoder.weight.double() + model.encoder.bias.double())
    h = h0
    for layer in range(1, model.depth + 1):
        beta = math.log(0.7 / layer + 1) if identity_map else 1.0
        first = (1 - beta) * one + beta * model.weights[layer - 1].double()
        second = first
        if model.star_weights is not None:
            second = (1 - beta) * one + beta * model.star_weights[layer - 1].double()
        h = F.relu(0.8 * p @ drop(h) @ first + 0.2 * h0 @ second)
    return drop(h) @ model.decoder.weight.double() + model.decoder.bias.double()


def gradients(model: GCNII, logits: Tensor, graph: Graph) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(logits, graph.y), list(model.parameters())))


def assert_same(model: GCNII, graph: Graph, logits: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(logits.double(), expected.double(), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients(model, logits, graph), gradients(model, expected, graph), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@IDENTITY_MAP
@STAR
@DEPTH
def test_logits_and_gradients_equal_pyg_layers(depth: int, star: bool, identity_map: bool) -> None:
    graph, model = make_graph(), make_model(depth, star, identity_map)
    assert isinstance(graph.x, Tensor)
    h0 = h = F.linear(graph.x, model.encoder.weight.T, model.encoder.bias).relu()
    convolutions = []
    for layer in range(1, depth + 1):
        strength = {"theta": 0.7, "layer": layer} if identity_map else {}
        convolution = GCN2Conv(HIDDEN, alpha=0.2, shared_weights=not star, **strength)
        with torch.no_grad():
            convolution.weight1.copy_(model.weights[layer - 1])
            if model.star_weights is not None:
                convolution.weight2.copy_(model.star_weights[layer - 1])
        convolutions.append(convolution)
        h = convolution(h, h0, graph.edge_index).relu()
    expected = F.linear(h, model.decoder.weight.T, model.decoder.bias)
    logits = model(graph.x, graph.adjacency)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)

    loss, expected_loss = F.cross_entropy(logits, graph.y), F.cross_entropy(expected, graph.y)
    linear = [*model.encoder.parameters(), *model.decoder.parameters()]
    ours = torch.autograd.grad(loss, [*linear, model.weights], retain_graph=True)
    theirs = torch.autograd.grad(expected_loss, [*linear, *(c.weight1 for c in convolutions)], retain_graph=True)
    torch.testing.assert_close([*ours[:4], *ours[4]], list(theirs), rtol=1e-4, atol=1e-6)
    if model.star_weights is not None:
        (second,) = torch.autograd.grad(loss, model.star_weights)
        of_pyg = torch.autograd.grad(expected_loss, [c.weight2 for c in convolutions])
        torch.testing.assert_close(list(second), list(of_pyg), rtol=1e-4, atol=1e-6)


@IDENTITY_MAP
@STAR
@DEPTH
def test_evaluation_equals_the_dense_equation(depth: int, star: bool, identity_map: bool) -> None:
    graph, model = make_graph(), make_model(depth, star, identity_map, dropout=0.5).eval()
    assert_same(model, graph, model(graph.x, graph.adjacency), dense_pass(model, graph, identity_map, lambda h: h))


@pytest.mark.parametrize("p", [0.3, 0.6])
@IDENTITY_MAP
@STAR
@pytest.mark.parametrize("depth", [1, 4])
def test_training_equals_the_dense_equation_under_the_same_masks(
    depth: int, star: bool, identity_map: bool, p: float
) -> None:
    graph, model = make_graph(), make_model(depth, star, identity_map, dropout=p)
    masks, (threshold, scale) = MaskSource(0), draw_threshold(p)

    def drop(h: Tensor) -> Tensor:
        return h * (masks.bits(tuple(h.shape), h.device) > threshold) * scale

    assert_same(model, graph, model(graph.x, graph.adjacency), dense_pass(model, graph, identity_map, drop))


def test_the_identity_map_fades_with_depth() -> None:
    beta = make_model(5, star=False, identity_map=True).beta
    assert beta.flatten().tolist() == pytest.approx([math.log(0.7 / layer + 1) for layer in range(1, 6)])
    assert "beta" not in make_model(5, star=False, identity_map=True).state_dict()


@STAR
def test_alpha_one_forgets_the_graph(star: bool) -> None:
    graph = make_graph()
    settings: dict[str, Any] = {"in_channels": FEATURES, "out_channels": CLASSES, "depth": 3, "hidden": HIDDEN}
    model = GCNII(**settings, alpha=1.0, star=star)
    edgeless = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), N)
    torch.testing.assert_close(model(graph.x, graph.adjacency), model(graph.x, edgeless))
    mixed = GCNII(**settings, alpha=0.5, star=star)
    assert not torch.allclose(mixed(graph.x, graph.adjacency), mixed(graph.x, edgeless))


@STAR
def test_start_values_fill_their_interval(star: bool) -> None:
    model = GCNII(FEATURES, CLASSES, 4, hidden=64, star=star)
    assert (model.star_weights is not None) == star
    for weights in (model.weights, model.star_weights) if star else (model.weights,):
        assert weights is not None and weights.shape == (4, 64, 64)
        assert 0.99 / 8 < weights.abs().max().item() <= 1 / 8
        assert weights.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.03)

"""A small graph, and the comparison of an architecture with its equation written densely."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.network import Network
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3
Drop = Callable[[Tensor], Tensor]
Dense = Callable[[Any, Tensor, Tensor, Drop], Tensor]


@pytest.fixture
def graph() -> Graph:
    return small_graph()


def small_graph() -> Graph:
    """15 nodes, some 25 edges, float64."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, N, (2, 25), generator=generator)
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)
    x = torch.randn(N, FEATURES, generator=generator, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (N,), generator=generator)
    return Graph(x, adjacency.with_values(adjacency.values.double()), y, *torch.arange(N).split(5))


@pytest.fixture
def settings() -> Callable[..., dict[str, Any]]:
    """Arguments of a network on that graph."""

    def make(depth: int, **changes: Any) -> dict[str, Any]:
        return {"in_channels": FEATURES, "out_channels": CLASSES, "depth": depth, "hidden": HIDDEN, **changes}

    return make


@pytest.fixture
def assert_same_as_dense(graph: Graph) -> Callable[[Network, Dense], None]:
    """Logits and gradients of a model in training equal those of `dense(model, x, P, drop)` under the same masks."""

    def check(model: Network, dense: Dense) -> None:
        model = model.double().train()
        masks, p = MaskSource(0), model.p_dropout

        def drop(h: Tensor) -> Tensor:
            if p == 0.0:
                return h
            threshold, scale = draw_threshold(p)
            return h * (masks.bits(tuple(h.shape), h.device) > threshold) * scale

        logits = model(graph.x, graph.adjacency)
        assert isinstance(graph.x, Tensor)
        expected = dense(model, graph.x, graph.adjacency.matrix.to_dense(), drop)
        torch.testing.assert_close(logits, expected)
        weights = list(model.parameters())
        ours, theirs = (torch.autograd.grad(F.cross_entropy(z, graph.y), weights) for z in (logits, expected))
        torch.testing.assert_close(ours, theirs)

    return check


@pytest.fixture
def pyg_convolutions() -> Callable[[Any], list[nn.Module]]:
    """PyG's `GCNConv` for every layer of a GCN, with its weights and biases."""

    def copy(model: Any) -> list[nn.Module]:
        biases = model.biases or [None] * len(model.weights)
        convolutions = [
            GCNConv(*weight.shape, bias=bias is not None) for weight, bias in zip(model.weights, biases, strict=True)
        ]
        with torch.no_grad():
            for convolution, weight, bias in zip(convolutions, model.weights, biases, strict=True):
                convolution.double().lin.weight.copy_(weight.T)
                if bias is not None:
                    convolution.bias.copy_(bias)
        return convolutions

    return copy


@pytest.fixture
def assert_same_as_layers(graph: Graph) -> Callable[[Any, list[Any], Tensor], None]:
    """Logits and gradients of a GCN equal those that PyG's layers gave."""

    def check(model: Any, convolutions: list[Any], expected: Tensor) -> None:
        logits = model(graph.x, graph.adjacency)
        torch.testing.assert_close(logits, expected)
        F.cross_entropy(expected, graph.y).backward()
        theirs = [c.lin.weight.grad.T for c in convolutions] + [c.bias.grad for c in convolutions if model.biases]
        ours = torch.autograd.grad(F.cross_entropy(logits, graph.y), list(model.parameters()))
        torch.testing.assert_close(list(ours), theirs)

    return check

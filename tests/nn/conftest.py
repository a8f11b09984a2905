"""A small graph, and a network that mixes nodes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3


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


class Gated(GCN):
    """Adds the mean of all nodes, also those of other replicas, times a gate that starts at 0."""

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.gate = nn.Parameter(torch.zeros(1))

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        return (h + self.gate * state[0].mean(),)

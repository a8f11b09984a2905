from typing import Any

import pytest
import torch
from torch import Tensor, nn

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.gin import GIN
from tests.nn.conftest import FEATURES


def make(settings: Any, learn: bool = False, epsilon: float = 0.3) -> GIN:
    torch.manual_seed(settings["depth"])
    model = GIN(**settings, epsilon=epsilon, learn_epsilon=learn).double()
    for bias in model.biases:
        nn.init.normal_(bias)
    return model


def test_a_star_counts_its_leaves(settings: Any) -> None:
    """Ones everywhere: a mean cannot tell hub from leaf, a sum can."""
    model = make(settings(1), epsilon=0.0)
    edges = torch.tensor([[1, 2, 3], [0, 0, 0]])
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), 4)
    x = torch.ones(4, FEATURES, dtype=torch.float64)
    hub, *leaves = model(x, adjacency.with_values(adjacency.values.double()))

    def perceptron(h: Tensor) -> Tensor:
        second: Any = model.second[0]
        return (h @ model.first[0] + model.biases[0]).relu() @ second.weight + second.bias

    torch.testing.assert_close(hub, perceptron(4 * x[0]))
    torch.testing.assert_close(leaves, [perceptron(2 * x[0])] * 3)


def test_weighted_edges_are_refused(settings: Any, graph: Graph) -> None:
    model = make(settings(2))
    with pytest.raises(UserError, match=r"^drop_edge\.mode=rescale weighs edges, GIN counts them: use"):
        model.check(graph, DropEdge(0.5, "rescale"))
    model.check(graph, DropEdge(0.5))

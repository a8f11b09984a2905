import math
from typing import Any

import pytest
import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.gcnii import GCNII
from tests.nn.conftest import CLASSES, FEATURES, N

STAR = pytest.mark.parametrize("star", [False, True])


def test_the_identity_map_fades_with_depth(settings: Any) -> None:
    model = GCNII(**settings(5), theta=0.7)
    assert model.beta.flatten().tolist() == pytest.approx([math.log(0.7 / layer + 1) for layer in range(1, 6)])
    assert "beta" not in model.state_dict()


@STAR
def test_alpha_one_forgets_the_graph(star: bool, settings: Any, graph: Graph) -> None:
    model, mixed = (GCNII(**settings(3), alpha=alpha, star=star).double() for alpha in (1.0, 0.5))
    edgeless = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), N)
    edgeless = edgeless.with_values(edgeless.values.double())
    torch.testing.assert_close(model(graph.x, graph.adjacency), model(graph.x, edgeless))
    assert not torch.allclose(mixed(graph.x, graph.adjacency), mixed(graph.x, edgeless))


@STAR
def test_start_values_fill_their_interval(star: bool) -> None:
    model = GCNII(FEATURES, CLASSES, 4, hidden=64, star=star)
    assert (model.star_weights is not None) == star
    for weights in (model.weights, model.star_weights) if star else (model.weights,):
        assert weights is not None and weights.shape == (4, 64, 64)
        assert 0.99 / 8 < weights.abs().max().item() <= 1 / 8
        assert weights.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.03)

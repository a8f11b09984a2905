from typing import Any

import pytest
import torch

from depthlab.graph.graph import Graph
from depthlab.nn.appnp import APPNP
from depthlab.nn.gprgnn import GPRGNN

DEPTH = pytest.mark.parametrize("depth", [1, 2, 10])


@DEPTH
def test_initial_weights_are_those_of_personalised_pagerank(depth: int, settings: Any, graph: Graph) -> None:
    torch.manual_seed(0)
    ours = GPRGNN(**settings(depth), alpha=0.2).double()
    torch.manual_seed(0)
    pagerank = APPNP(**settings(depth), alpha=0.2).double()
    torch.testing.assert_close(ours(graph.x, graph.adjacency), pagerank(graph.x, graph.adjacency))
    assert float(ours.gamma.detach().sum()) == pytest.approx(1)

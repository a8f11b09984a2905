import pytest
from torch import Tensor

from depthlab.graph.rewiring.virtual_node import virtual_node
from tests.graph.rewiring.conftest import assert_form, pairs, path, random_graph, seeded, undirected


@pytest.mark.parametrize("edge_index", [path(6), random_graph(6, 0.5, 0), undirected((1, 4)), undirected()])
def test_one_new_node_is_joined_to_all(edge_index: Tensor) -> None:
    after = virtual_node(edge_index, 6, seeded())
    assert_form(after)
    assert pairs(after) == pairs(edge_index) | {(node, 6) for node in range(6)}

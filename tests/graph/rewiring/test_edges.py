import pytest
import torch

from depthlab.graph.rewiring.edges import both_directions, edge_keys, free_pairs
from tests.graph.rewiring.conftest import assert_form, clique, pairs, path, random_graph, undirected


@pytest.mark.parametrize("edge_index", [path(5), clique(4), random_graph(12, 0.3, 0), undirected()])
def test_keys_and_back(edge_index: torch.Tensor) -> None:
    keys = edge_keys(edge_index, 20)
    assert keys.tolist() == sorted(a * 20 + b for a, b in pairs(edge_index))
    assert torch.equal(both_directions(keys, 20), edge_index)


def test_unsorted_keys_give_sorted_edges() -> None:
    edge_index = both_directions(torch.tensor([2 * 5 + 4, 1, 0 * 5 + 3]), 5)
    assert_form(edge_index)
    assert pairs(edge_index) == {(2, 4), (0, 1), (0, 3)}


def test_free_pairs_are_those_not_joined() -> None:
    assert free_pairs(4, len(pairs(clique(4)))) == 0
    assert free_pairs(5, len(pairs(path(5)))) == 6
    assert free_pairs(0, 0) == free_pairs(1, 0) == 0

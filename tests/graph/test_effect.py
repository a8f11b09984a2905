import pytest
import torch
from torch import Tensor

from src.graph.effect import effect

Y = torch.tensor([0, 0, 1, 1, -1])


def both(*pairs: tuple[int, int]) -> Tensor:
    edges = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return torch.cat([edges, edges.flip(0)], 1)


def test_what_was_added_and_removed() -> None:
    before, after = both((0, 1), (1, 2), (3, 4)), both((0, 1), (2, 3), (0, 2), (0, 4), (1, 3))
    found = effect(before, after, Y, 5)
    assert {key: found[key] for key in found if not key.startswith("homophily")} == {
        "nodes_added": 0, "edges_before": 3, "edges_after": 5, "edges_added": 4, "edges_removed": 2,
    }  # fmt: skip
    assert found["homophily_before"] == 0.5  # of 0-1 and 1-2; nobody knows the class of node 4
    assert found["homophily_after"] == 0.5
    assert found["homophily_added"] == pytest.approx(1 / 3)


def test_a_virtual_node_has_no_class() -> None:
    found = effect(both((0, 1)), both((0, 1), *((node, 5) for node in range(5))), Y, 6)
    assert (found["nodes_added"], found["edges_added"], found["edges_removed"]) == (1, 5, 0)
    assert found["homophily_after"] == found["homophily_before"] == 1
    assert "homophily_added" not in found


@pytest.mark.parametrize("edges", [both((0, 1), (1, 2)), both()])
def test_nothing_was_done(edges: Tensor) -> None:
    found = effect(edges, edges.clone(), Y, 5)
    assert (found["edges_added"], found["edges_removed"]) == (0, 0)
    assert "homophily_added" not in found

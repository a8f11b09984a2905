import pytest
import torch
from torch import Tensor

from depthlab.graph import bottleneck as module
from depthlab.graph.rewiring_statistics import rewiring_statistics, structure
from depthlab.measures.laplacian import ConvergenceError

Y = torch.tensor([0, 0, 1, 1, -1])


def both(*pairs: tuple[int, int]) -> Tensor:
    edges = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return torch.cat([edges, edges.flip(0)], 1)


def test_what_was_added_and_removed() -> None:
    before, after = both((0, 1), (1, 2), (3, 4)), both((0, 1), (2, 3), (0, 2), (0, 4), (1, 3))
    found = rewiring_statistics(before, after, Y, 5)
    counted = {"nodes_added": 0, "edges_before": 3, "edges_after": 5, "edges_added": 4, "edges_removed": 2}
    assert found.items() >= counted.items()
    assert found["homophily_before"] == 0.5  # of 0-1 and 1-2; nobody knows the class of node 4
    assert found["homophily_after"] == 0.5
    assert found["homophily_added"] == pytest.approx(1 / 3)


def test_a_virtual_node_has_no_class() -> None:
    found = rewiring_statistics(both((0, 1)), both((0, 1), *((node, 5) for node in range(5))), Y, 6)
    assert (found["nodes_added"], found["edges_added"], found["edges_removed"]) == (1, 5, 0)
    assert found["homophily_after"] == found["homophily_before"] == 1
    assert "homophily_added" not in found


@pytest.mark.parametrize("edges", [both((0, 1), (1, 2)), both()])
def test_nothing_was_done(edges: Tensor) -> None:
    found = rewiring_statistics(edges, edges.clone(), Y, 5)
    assert (found["edges_added"], found["edges_removed"]) == (0, 0)
    assert "homophily_added" not in found


def test_the_structure_of_a_path_and_of_a_triangle_closed() -> None:
    path, ring = both((0, 1), (1, 2)), both((0, 1), (1, 2), (2, 0))
    assert structure(path, 3) == pytest.approx(
        {"components": 1, "spectral_gap": 1, "resistance": 4 / 3, "curvature_mean": 0, "curvature_min": 0}
    )
    curved = 2 / 2 + 2 / 2 - 2 + 2 * 1 / 2 + 1 / 2
    assert structure(ring, 3) == pytest.approx(
        {"components": 1, "spectral_gap": 1.5, "resistance": 2 / 3, "curvature_mean": curved, "curvature_min": curved}
    )
    found = rewiring_statistics(path, ring, Y[:3], 3)
    assert (found["resistance_before"], found["resistance_after"]) == pytest.approx((4 / 3, 2 / 3))


def test_components_are_counted_and_the_largest_is_measured() -> None:
    found = structure(both((0, 1), (1, 2), (3, 4)), 6)
    assert found["components"] == 3
    assert found["resistance"] == pytest.approx(4 / 3)


def test_what_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> float:
        raise ConvergenceError("did not settle")

    monkeypatch.setattr(module, "PATHS", 1)
    monkeypatch.setattr(module, "largest_component_gap", never)
    assert structure(both((0, 1)), 2).keys() == {"components", "resistance", "curvature_mean", "curvature_min"}
    assert structure(both((0, 1), (1, 2)), 3).keys() == {"components", "resistance"}
    found = rewiring_statistics(both((0, 1)), both((0, 1), (1, 2)), Y[:3], 3)
    assert "curvature_min_before" in found and "curvature_min_after" not in found

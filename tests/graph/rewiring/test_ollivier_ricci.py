import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from depthlab.graph.rewiring import ollivier_ricci as module
from depthlab.graph.rewiring.ollivier_ricci import transport
from tests.graph.rewiring.conftest import barbell, clique, cycle, dense, pairs, path, random_graph, undirected


def sets(edge_index: Tensor, num_nodes: int) -> list[set[int]]:
    return [{a + b - node for a, b in pairs(edge_index) if node in (a, b)} for node in range(num_nodes)]


def by_linear_program(edge_index: Tensor, num_nodes: int, u: int, v: int) -> float:
    """W1 over all n^2 pairs of nodes, with shortest paths of the whole graph."""
    adjacency = dense(edge_index, num_nodes).numpy()
    distance = shortest_path(adjacency, unweighted=True)
    start, end = (adjacency[node] / adjacency[node].sum() for node in (u, v))
    ones, identity = np.ones((1, num_nodes)), np.eye(num_nodes)
    sums = np.concatenate([np.kron(identity, ones), np.kron(ones, identity)])
    cost = np.where(np.isfinite(distance), distance, 1e3).ravel()
    return float(linprog(cost, A_eq=sums, b_eq=np.append(start, end)).fun)


@pytest.mark.parametrize("assigned", [0, 400])
@pytest.mark.parametrize("probability", [0.1, 0.3, 0.6])
def test_against_a_dense_linear_program(assigned: int, probability: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASSIGNED", assigned)
    edge_index = random_graph(13, probability, 0)
    neighbours = sets(edge_index, 13)
    for u, v in pairs(edge_index):
        for a, b in ((u, v), (v, u)):
            assert transport(neighbours, a, b)[0] == pytest.approx(by_linear_program(edge_index, 13, a, b), abs=1e-9)


@pytest.mark.parametrize("assigned", [0, 400])
def test_the_plan_moves_what_it_has_to(assigned: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASSIGNED", assigned)
    edge_index = random_graph(13, 0.3, 1)
    distance = shortest_path(dense(edge_index, 13).numpy(), unweighted=True)
    neighbours = sets(edge_index, 13)
    for u, v in pairs(edge_index):
        wasserstein, plan = transport(neighbours, u, v)
        balance = np.zeros(13)
        balance[list(neighbours[u])] += 1 / len(neighbours[u])
        for p, q, cost in plan:
            assert cost > 0
            balance[p] -= cost / distance[p, q]
            balance[q] += cost / distance[p, q]
        balance[list(neighbours[v])] -= 1 / len(neighbours[v])
        np.testing.assert_allclose(balance, 0, atol=1e-12)
        assert sum(cost for *_, cost in plan) == pytest.approx(wasserstein, abs=1e-12)


@pytest.mark.parametrize(
    ("edge_index", "nodes", "edge", "curvature"),
    [
        (clique(2), 2, (0, 1), 0.0),
        (clique(5), 5, (0, 1), 3 / 4),  # (n - 2) / (n - 1)
        (cycle(4), 4, (0, 1), 0.0),
        (cycle(5), 5, (0, 1), -1 / 2 + 1 / 2),  # mass 1/2 stays at distance 1, mass 1/2 moves by 1
        (cycle(6), 6, (0, 1), 0.0),
        (path(5), 5, (1, 2), 0.0),
        (undirected((0, 1), (0, 2), (0, 3), (1, 4), (1, 5)), 6, (0, 1), -2 * (1 - 1 / 3 - 1 / 3)),
        (undirected((0, 1), (0, 2), (0, 3), (0, 4)), 5, (0, 1), 0.0),
        (barbell(4), 8, (3, 4), -1.0),
    ],
)
def test_closed_forms(edge_index: Tensor, nodes: int, edge: tuple[int, int], curvature: float) -> None:
    """Trees: -2 (1 - 1/d_u - 1/d_v)_+ (Jost & Liu 2014)."""
    assert 1 - transport(sets(edge_index, nodes), *edge)[0] == pytest.approx(curvature, abs=1e-12)


def test_equal_curvatures_are_equal_numbers() -> None:
    values = {transport(sets(clique(7), 7), u, v)[0] for u, v in pairs(clique(7))}
    values |= {transport(sets(barbell(7), 14), u, v)[0] for u, v in pairs(clique(6))}
    assert values == {1 / 6}

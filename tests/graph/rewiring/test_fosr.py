from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.fosr import best_pair, fosr
from tests.graph.rewiring.conftest import (
    assert_form,
    barbell,
    clique,
    dense,
    pairs,
    path,
    random_graph,
    seeded,
    spectral_gap,
    undirected,
)

CONVERGED = {"initial_iterations": 3000, "iterations": 3000}
QUICK = {"initial_iterations": 50, "iterations": 1}


def products(edge_index: Tensor, num_nodes: int) -> dict[tuple[int, int], float]:
    """y_u y_v of every pair that is not joined, from the dense second eigenvector."""
    matrix = dense(edge_index, num_nodes)
    degree = matrix.sum(1)
    x = torch.linalg.eigh(matrix * degree.rsqrt() * degree.rsqrt()[:, None]).eigenvectors[:, -2]
    y = (x / (1 + degree).sqrt()).tolist()
    free = set(combinations(range(num_nodes), 2)) - pairs(edge_index)
    return {(u, v): y[u] * y[v] for u, v in free}


@pytest.mark.parametrize("seed", range(4))
def test_every_edge_is_the_best_by_the_dense_eigenvector(seed: int) -> None:
    nodes, before = 14, undirected(*pairs(path(14)), *pairs(random_graph(14, 0.2, seed)))
    for step in range(1, 7):
        after = fosr(before, nodes, seeded(), num_edges=1, **CONVERGED)
        (new,) = pairs(after) - pairs(before)
        by_pair = products(before, nodes)
        assert by_pair[new[0], new[1]] == pytest.approx(min(by_pair.values()), abs=1e-9), step
        before = after


@pytest.mark.parametrize("signs", ["mixed", "positive", "negative", "zeros"])
@pytest.mark.parametrize("probability", [0.0, 0.5, 0.95])
def test_best_pair_against_all_pairs(signs: str, probability: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        n = int(random.integers(2, 9))
        y = random.standard_normal(n)
        y = {"mixed": y, "positive": abs(y), "negative": -abs(y), "zeros": y.round()}[signs]
        every = list(combinations(range(n), 2))
        edges = {pair for pair in every if random.random() < probability}
        edges.discard(every[int(random.integers(len(every)))])
        u, v = best_pair(y, lambda a, b, edges=edges: (min(a, b), max(a, b)) in edges)  # type: ignore[misc]
        assert u != v and (min(u, v), max(u, v)) not in edges
        assert y[u] * y[v] == min(y[a] * y[b] for a, b in every if (a, b) not in edges)


@pytest.mark.parametrize(("edge_index", "nodes"), [(barbell(5), 10), (path(12), 12)])
def test_the_gap_rises(edge_index: Tensor, nodes: int) -> None:
    gaps = [spectral_gap(fosr(edge_index, nodes, seeded(), num_edges=k, **QUICK), nodes) for k in range(5)]
    assert all(gap > 2 * gaps[0] for gap in gaps[1:]), gaps


def test_a_barbell_gets_its_second_bridge_between_the_cliques() -> None:
    (new,) = pairs(fosr(barbell(5), 10, seeded(), num_edges=1, **QUICK)) - pairs(barbell(5))
    assert new[0] < 5 <= new[1]


def test_components_are_joined_first() -> None:
    before = torch.cat([clique(4), clique(5) + 4], dim=1)
    (new,) = pairs(fosr(before, 9, seeded(), num_edges=1, **QUICK)) - pairs(before)
    assert new[0] < 4 <= new[1]


def test_a_longer_run_goes_on_where_a_shorter_one_ends() -> None:
    before = random_graph(20, 0.2, 0)
    runs = [pairs(fosr(before, 20, seeded(), num_edges=k, **QUICK)) for k in range(6)]
    assert all(a < b and len(b) == len(a) + 1 for a, b in pairwise(runs))


@pytest.mark.parametrize("edge_index", [undirected(), undirected((0, 1)), undirected((2, 5), (2, 6))])
def test_isolated_nodes(edge_index: Tensor) -> None:
    after = fosr(edge_index, 7, seeded(), num_edges=4, **QUICK)
    assert_form(after)
    assert pairs(edge_index) <= pairs(after) and len(pairs(after)) == len(pairs(edge_index)) + 4


def test_all_free_pairs_can_be_added() -> None:
    assert torch.equal(fosr(path(6), 6, seeded(), num_edges=10, **QUICK), clique(6))


def test_more_edges_than_free_pairs_are_refused() -> None:
    with pytest.raises(UserError, match=r"only 10 pairs .*rewiring\.num_edges=10 or less"):
        fosr(path(6), 6, seeded(), num_edges=11, **QUICK)


def test_a_slow_rewiring_is_refused_with_a_faster_setting() -> None:
    with pytest.raises(UserError, match=r"some 31 minutes for 3,000,000 edges: use rewiring\.num_edges=967804 or less"):
        fosr(path(3000), 3000, seeded(), num_edges=3_000_000, **QUICK)

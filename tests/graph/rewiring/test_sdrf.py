import math
from collections import Counter
from itertools import product

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.sdrf import candidates, sdrf
from depthlab.measures.curvature import balanced_forman
from tests.graph.rewiring.conftest import (
    assert_form,
    barbell,
    clique,
    cycle,
    pairs,
    path,
    random_graph,
    seeded,
    spectral_gap,
    undirected,
)

Edge = tuple[int, ...]
NONE = math.inf


def curvatures(edges: set[Edge], num_nodes: int) -> dict[Edge, float]:
    edge_index = undirected(*edges)
    values = balanced_forman(edge_index, num_nodes).tolist()
    return {tuple(edge): value for edge, value in zip(edge_index.T.tolist(), values, strict=True)}


def by_recomputation(edges: set[Edge], num_nodes: int, i: int, j: int) -> dict[Edge, float]:
    """Of every candidate at the edge i-j the improvement, by the curvature of the whole graph with it."""
    around = [{node} | {a + b - node for a, b in edges if node in (a, b)} for node in (i, j)]
    free = {(min(k, m), max(k, m)) for k, m in product(*around) if k != m} - edges
    old = curvatures(edges, num_nodes)[i, j]
    return {pair: curvatures(edges | {pair}, num_nodes)[i, j] - old for pair in free}


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.8])
def test_candidates_and_improvements_by_recomputation(probability: float) -> None:
    nodes = 11
    for seed in range(3):
        edges = pairs(random_graph(nodes, probability, seed))
        neighbours = [{a + b - node for a, b in edges if node in (a, b)} for node in range(nodes)]
        for i, j in sorted(edges):
            found, improvement = candidates(neighbours, i, j)
            ours = {(min(pair), max(pair)): x for pair, x in zip(found.tolist(), improvement.tolist(), strict=True)}
            assert len(ours) == len(found)
            assert ours == pytest.approx(by_recomputation(edges, nodes, i, j), abs=1e-12)


@pytest.mark.parametrize("removal_bound", [NONE, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_every_step_by_recomputation(seed: int, removal_bound: float) -> None:
    nodes, removed = 14, 0
    edges = pairs(path(14)) | pairs(random_graph(14, 0.15, seed))
    for _ in range(8):
        after = pairs(sdrf(undirected(*edges), nodes, seeded(), num_steps=1, tau=1e6, removal_bound=removal_bound))
        values = curvatures(edges, nodes)
        allowed = set()
        for edge in (edge for edge in values if values[edge] < min(values.values()) + 1e-12):
            gains = by_recomputation(edges, nodes, *edge)
            allowed |= {pair for pair, gain in gains.items() if gain > max(gains.values()) - 1e-4}
        outcomes = []
        for pair in allowed:
            then = curvatures(edges | {pair}, nodes)
            top = [edge for edge in then if then[edge] > max(then.values()) - 1e-12 and edge[0] < edge[1]]
            removing = max(then.values()) > removal_bound
            outcomes += [(edges | {pair}) - {edge} for edge in top] if removing else [edges | {pair}]
        assert after in outcomes
        removed += len(after) == len(edges)
        edges = after
    assert (removed > 0) == (removal_bound < NONE)


def test_tau_weighs_the_candidates() -> None:
    edges = pairs(barbell(3))
    gains = by_recomputation(edges, 6, 2, 3)
    weights = {pair: math.exp(3 * gain) for pair, gain in gains.items()}
    draws, generator = 2000, seeded()
    counts = Counter(
        pair
        for _ in range(draws)
        for pair in pairs(sdrf(barbell(3), 6, generator, num_steps=1, tau=3.0, removal_bound=NONE)) - edges
    )
    assert set(counts) <= set(weights)
    for pair, weight in weights.items():
        expected = draws * weight / sum(weights.values())
        assert abs(counts[pair] - expected) < 5 * expected**0.5, pair


@pytest.mark.parametrize(("edge_index", "nodes"), [(barbell(5), 10), (path(12), 12), (cycle(14), 14)])
def test_the_gap_rises(edge_index: Tensor, nodes: int) -> None:
    after = sdrf(edge_index, nodes, seeded(), num_steps=4, tau=100.0, removal_bound=NONE)
    assert spectral_gap(after, nodes) > 1.2 * spectral_gap(edge_index, nodes)


def test_components_and_isolated_nodes_stay_apart() -> None:
    before = undirected(*pairs(path(6)), *((a + 7, b + 7) for a, b in pairs(cycle(6))))
    after = sdrf(before, 14, seeded(), num_steps=10, tau=1.0, removal_bound=NONE)
    assert_form(after)
    assert len(pairs(after)) == len(pairs(before)) + 10
    assert all(b < 6 or a > 6 for a, b in pairs(after))


def test_seeds() -> None:
    before = random_graph(30, 0.1, 0)
    first, again, other = (
        sdrf(before, 30, seeded(seed), num_steps=10, tau=1.0, removal_bound=NONE) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_component_can_be_filled_and_no_further() -> None:
    filled = sdrf(path(5), 5, seeded(), num_steps=6, tau=1.0, removal_bound=NONE)
    assert torch.equal(filled, clique(5))
    with pytest.raises(UserError, match=r"after 6 edges .*rewiring\.num_steps=6 or less"):
        sdrf(path(5), 5, seeded(), num_steps=7, tau=1.0, removal_bound=NONE)
    with pytest.raises(UserError, match=r"rewiring\.num_steps=0"):
        sdrf(undirected(), 5, seeded(), num_steps=1, tau=1.0, removal_bound=NONE)


def test_two_joined_hubs_are_refused_with_what_they_would_take() -> None:
    leaves = 7500
    stars = [torch.stack([torch.full((leaves,), hub), 2 + 2 * torch.arange(leaves) + hub]) for hub in (0, 1)]
    one_way = torch.cat([torch.tensor([[0], [1]]), *stars], dim=1)
    before = torch.cat([one_way, one_way.flip(0)], dim=1)
    with pytest.raises(UserError, match=r"5\.6e\+07 pairs .* 7,501 and 7,501 neighbours, some 4 GB: use rewiring=fosr"):
        sdrf(before, 2 + 2 * leaves, seeded(), num_steps=1, tau=1.0, removal_bound=NONE)

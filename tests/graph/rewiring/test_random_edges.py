from collections import Counter

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.random_edges import random_edges
from tests.graph.rewiring.conftest import assert_form, clique, pairs, path, random_graph, seeded, undirected


@pytest.mark.parametrize("num_edges", [0, 1, 7, 100])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7])
def test_the_old_edges_stay_and_num_edges_are_added(num_edges: int, probability: float) -> None:
    before = random_graph(30, probability, 0)
    after = random_edges(before, 30, seeded(), num_edges=num_edges)
    assert_form(after)
    assert pairs(before) <= pairs(after)
    assert len(pairs(after)) == len(pairs(before)) + num_edges
    assert after.numel() == 0 or int(after.max()) < 30


def test_the_last_free_pair_is_found() -> None:
    for missing in pairs(clique(6)):
        before = undirected(*(pairs(clique(6)) - {missing}))
        assert pairs(random_edges(before, 6, seeded(), num_edges=1)) == pairs(clique(6))


def test_every_free_pair_is_as_likely() -> None:
    before, free = path(5), pairs(clique(5)) - pairs(path(5))
    generator, draws = seeded(), 3000
    counts = Counter(
        pair for _ in range(draws) for pair in pairs(random_edges(before, 5, generator, num_edges=2)) - pairs(before)
    )
    assert set(counts) == free
    expected = 2 * draws / len(free)
    for pair in free:
        assert abs(counts[pair] - expected) < 5 * expected**0.5, pair


def test_pair_numbers_hold_on_many_nodes() -> None:
    nodes = 3_000_000
    before = undirected((0, 1), (nodes - 2, nodes - 1))
    after = random_edges(before, nodes, seeded(), num_edges=10_000)
    assert after.shape[1] == 2 * 10_002
    assert bool((after >= 0).all()) and bool((after < nodes).all()) and bool((after[0] != after[1]).all())
    assert pairs(before) <= pairs(after)
    assert float(after.double().mean()) == pytest.approx(nodes / 2, rel=0.02)


def test_seeds() -> None:
    before = random_graph(30, 0.1, 0)
    first, again, other = (random_edges(before, 30, seeded(seed), num_edges=20) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_edges_than_free_pairs_are_refused() -> None:
    with pytest.raises(UserError, match=r"only 6 pairs .*rewiring\.num_edges=6 or less"):
        random_edges(path(5), 5, seeded(), num_edges=7)

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring import borf as module
from depthlab.graph.rewiring.borf import borf, seconds
from depthlab.graph.rewiring.ollivier_ricci import transport
from tests.graph.rewiring.conftest import (
    assert_form,
    barbell,
    clique,
    pairs,
    path,
    random_graph,
    seeded,
    spectral_gap,
    undirected,
)
from tests.graph.rewiring.test_ollivier_ricci import sets

Edge = tuple[int, ...]


def curvatures(edge_index: Tensor, num_nodes: int) -> dict[Edge, float]:
    neighbours = sets(edge_index, num_nodes)
    return {(u, v): 1 - transport(neighbours, u, v)[0] for u, v in pairs(edge_index)}


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_by_hand(seed: int) -> None:
    before = undirected(*pairs(path(20)), *pairs(random_graph(20, 0.12, seed)))
    values, neighbours = curvatures(before, 20), sets(before, 20)
    after = borf(before, 20, seeded(), num_batches=1, added=3, removed=2)
    new, gone = pairs(after) - pairs(before), pairs(before) - pairs(after)
    assert len(new) == 3 and len(gone) == 2
    assert sorted(values[edge] for edge in gone) == sorted(values.values())[-2:]

    def offer(edge: Edge) -> set[Edge]:
        """The free pairs with the largest part of the transport cost."""
        plan = [move for move in transport(neighbours, *edge)[1] if move[1] not in neighbours[move[0]]]
        top = max((cost for *_, cost in plan), default=0)
        return {(min(p, q), max(p, q)) for p, q, cost in plan if cost == top}

    third = sorted(values.values())[2]
    ties = [edge for edge in values if values[edge] <= third]
    assert all(any(pair in offer(edge) for edge in ties) for pair in new)


@pytest.mark.parametrize("seed", range(4))
def test_batches_of_one_call_are_calls_of_one_batch(seed: int) -> None:
    """What is kept of the curvature from batch to batch is what a new computation gives."""
    before = random_graph(25, 0.12, seed)
    one, many = before, seeded(seed)
    for _ in range(4):
        one = borf(one, 25, many, num_batches=1, added=3, removed=2)
    assert torch.equal(borf(before, 25, seeded(seed), num_batches=4, added=3, removed=2), one)


def test_the_gap_of_a_barbell_rises() -> None:
    after = borf(barbell(5), 10, seeded(), num_batches=2, added=2, removed=0)
    assert any(a < 5 <= b for a, b in pairs(after) - pairs(barbell(5)))
    assert spectral_gap(after, 10) > 2 * spectral_gap(barbell(5), 10)


def test_equals_come_in_random_order() -> None:
    bridges = undirected(*((a + 8 * k, b + 8 * k) for k in range(4) for a, b in pairs(barbell(4))))
    results = [
        pairs(borf(bridges, 32, seeded(s), num_batches=1, added=1, removed=0)) - pairs(bridges) for s in range(9)
    ]
    assert len({min(new)[0] // 8 for new in results}) > 1


def test_components_and_isolated_nodes_stay_apart() -> None:
    before = undirected(*pairs(barbell(4)), *((a + 10, b + 10) for a, b in pairs(barbell(3))))
    after = borf(before, 17, seeded(), num_batches=3, added=2, removed=1)
    assert_form(after)
    assert len(pairs(after)) == len(pairs(before)) + 3
    assert all(b < 8 or a >= 10 for a, b in pairs(after)) and int(after.max()) < 16


def test_one_edge_gives_more_than_one_where_others_have_none() -> None:
    new = pairs(borf(barbell(5), 10, seeded(), num_batches=1, added=3, removed=0)) - pairs(barbell(5))
    plan = transport(sets(barbell(5), 10), 4, 5)[1]
    assert new <= {(min(p, q), max(p, q)) for p, q, _ in plan} and len(new) == 3


def test_no_batch_is_no_change() -> None:
    assert torch.equal(borf(path(5), 5, seeded(), num_batches=0, added=9, removed=9), path(5))


def test_batches_that_cannot_be_filled_are_refused() -> None:
    with pytest.raises(UserError, match=r"only 0 edges can be added in a batch: use rewiring\.added=0 or less"):
        borf(clique(5), 5, seeded(), num_batches=1, added=1, removed=0)
    with pytest.raises(UserError, match=r"only 0 edges can be added"):
        borf(path(9), 9, seeded(), num_batches=1, added=1, removed=0)
    with pytest.raises(UserError, match=r"only 4 edges can be removed: use rewiring\.removed=4 or less"):
        borf(path(5), 5, seeded(), num_batches=1, added=0, removed=7)


def test_what_takes_too_long_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "transport", None)
    edge_index = random_graph(40, 0.5, 0)
    degree = [len(near) for near in sets(edge_index, 40)]
    work = sum(degree[u] * degree[v] for u, v in pairs(edge_index))
    assert seconds(edge_index, 40) == pytest.approx(1e-4 * len(pairs(edge_index)) + 2e-5 * work)
    monkeypatch.setattr(module, "LIMIT", seconds(edge_index, 40) / 2)
    with pytest.raises(UserError, match=rf"some \d+ minutes for the curvature of {len(pairs(edge_index))} edges"):
        borf(edge_index, 40, seeded(), num_batches=1, added=1, removed=0)

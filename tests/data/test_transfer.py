"""Ring, crossed ring and clique with a path, written by hand."""

from collections import deque
from collections.abc import Callable

import pytest
import torch

from depthlab.data.graph_set import GraphSet
from depthlab.data.transfer import make_clique_path_transfer, make_crossed_ring_transfer, make_ring_transfer

MAKERS = [make_ring_transfer, make_crossed_ring_transfer, make_clique_path_transfer]
EVERY = pytest.mark.parametrize("make", MAKERS)
RING = {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)}
Make = Callable[..., GraphSet]


def pairs(graphs: GraphSet) -> set[tuple[int, ...]]:
    """Undirected edges; each has to stand in both directions and none twice."""
    edges = [tuple(edge) for edge in graphs.edge_index.T.tolist()]
    assert len(edges) == len(set(edges)) and all((b, a) in edges for a, b in edges)
    return {edge for edge in edges if edge[0] < edge[1]}


def distance(graphs: GraphSet, target: int) -> int:
    """Hops from the read-out node, by breadth-first search."""
    hops, queue = {graphs.root: 0}, deque([graphs.root])
    while queue:
        node = queue.popleft()
        for other in graphs.edge_index[1][graphs.edge_index[0] == node].tolist():
            if other not in hops:
                hops[other] = hops[node] + 1
                queue.append(other)
    return hops[target]


def test_a_ring_of_six() -> None:
    assert pairs(make_ring_transfer([], size=6)) == RING


def test_a_crossed_ring_of_six() -> None:
    #   1 - 2
    # 0   X   3
    #   5 - 4
    assert pairs(make_crossed_ring_transfer([], size=6)) == RING | {(1, 4), (2, 5)}


def test_a_crossed_ring_of_eight() -> None:
    ring = {(i, i + 1) for i in range(7)} | {(0, 7)}
    assert pairs(make_crossed_ring_transfer([], size=8)) == ring | {(1, 6), (2, 5), (2, 7), (3, 6)}


def test_a_clique_with_a_path_of_seven() -> None:
    assert pairs(make_clique_path_transfer([], size=7)) == {(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)}


@EVERY
@pytest.mark.parametrize("size", [6, 7, 10, 13, 30])
def test_the_target_is_as_far_as_it_is_said(make: Make, size: int) -> None:
    graphs = make([], size=size)
    target = size - 1 if make is make_clique_path_transfer else size // 2
    longer = size - size // 2 + 1
    assert distance(graphs, target) == graphs.task_range == (longer if target == size - 1 else size // 2)
    expected = torch.ones(size, 5)
    expected[0] = 0
    for label in range(5):
        expected[target] = torch.eye(5)[label]
        assert (graphs.x[graphs.y == label] == expected).all()


@pytest.mark.parametrize("make", [make_ring_transfer, make_crossed_ring_transfer])
def test_the_smallest_rings_are_simple_graphs(make: Make) -> None:
    for size in (3, 4, 5):
        assert {(i, i + 1) for i in range(size - 1)} | {(0, size - 1)} <= pairs(make([], size=size))


@EVERY
def test_only_the_target_tells_the_class(make: Make) -> None:
    graphs = make([], size=8)
    differing = (graphs.x != graphs.x[:1]).any(-1).any(0)
    assert differing.sum() == 1


@EVERY
def test_parts_and_classes_are_of_the_sizes_asked_for(make: Make) -> None:
    graphs = make([], size=6, classes=4, train_graphs=40, test_graphs=8)
    assert [int(part.sum()) for part in (graphs.train, graphs.val, graphs.test)] == [40, 8, 8]
    assert torch.bincount(graphs.y[graphs.train[0]]).tolist() == [10] * 4
    assert (graphs.width, int(graphs.y.max()), graphs.root) == (4, 3, 0)
    default = make([])
    assert [int(part.sum()) for part in (default.train, default.val, default.test)] == [5000, 500, 500]

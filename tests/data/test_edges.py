"""Edges of a file become undirected, sorted and unique, with their weights."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.edges import with_edges

NODES = 5
MASK = torch.ones(1, NODES, dtype=torch.bool)


def raw(edges: list[tuple[int, int]], weights: list[float] | None = None) -> Dataset:
    weight = None if weights is None else torch.tensor(weights)
    return Dataset(
        torch.ones(NODES, 1), torch.tensor(edges).T, torch.arange(NODES) % 2, MASK, MASK, MASK, edge_weight=weight
    )


def entries(dataset: Dataset) -> list[tuple[int, int]]:
    return [(int(source), int(target)) for source, target in dataset.edge_index.T]


def matrix(dataset: Dataset) -> Tensor:
    assert dataset.edge_weight is not None
    dense = torch.zeros(NODES, NODES)
    dense[dataset.edge_index[0], dataset.edge_index[1]] = dataset.edge_weight
    return dense


def test_both_directions_once_without_loops() -> None:
    found = with_edges(raw([(3, 1), (1, 3), (2, 2), (0, 4), (0, 4)]))
    assert entries(found) == [(0, 4), (1, 3), (3, 1), (4, 0)] and not found.directed


@pytest.mark.parametrize("weights", [None, [1.0] * 4])
def test_added_reverse_edges_are_noted(weights: list[float] | None) -> None:
    found = with_edges(raw([(0, 1), (1, 0), (1, 2), (3, 2)], weights))
    assert found.notes == [
        "added the reverse of 2 of 4 edges, because dataset.directed=false makes the graph undirected"
    ]


@pytest.mark.parametrize("edges", [[(0, 1), (1, 2)], [(0, 1), (1, 0), (2, 3), (3, 2)]])
def test_a_list_with_one_or_both_directions_of_every_edge_needs_no_note(edges: list[tuple[int, int]]) -> None:
    assert with_edges(raw(edges)).notes == [] == with_edges(raw(edges, [1.0] * len(edges))).notes


def test_directed_edges_are_kept() -> None:
    found = with_edges(replace(raw([(3, 1), (1, 1), (0, 4), (1, 3), (0, 4)]), notes=["read"]), directed=True)
    assert entries(found) == [(0, 4), (1, 3), (3, 1)] and found.directed
    assert found.notes == ["read", "messages follow the direction of the edges; measures use both directions"]


def test_weights_of_repetitions_are_added_and_of_directions_averaged() -> None:
    edges = [(0, 1), (0, 1), (1, 0), (2, 3), (4, 4)]
    weights = [1.0, 2.0, 5.0, 7.0, 9.0]
    found = matrix(with_edges(raw(edges, weights)))
    expected = torch.zeros(NODES, NODES)
    expected[0, 1] = expected[1, 0] = (3 + 5) / 2
    expected[2, 3] = expected[3, 2] = 7
    assert torch.equal(found, expected)
    kept = matrix(with_edges(raw(edges, weights), directed=True))
    assert [float(kept[pair]) for pair in ((0, 1), (1, 0), (2, 3), (3, 2))] == [3, 5, 7, 0]


def test_edges_of_weight_zero_are_left_out() -> None:
    assert entries(with_edges(raw([(0, 1), (1, 2)], [0.0, 1.0]))) == [(1, 2), (2, 1)]
    with pytest.raises(
        UserError,
        match=r"^all edges have weight 0: use dataset\.edge_weight=none, or in to_dataset edge_weight='none', to",
    ):
        with_edges(raw([(0, 1), (1, 2)], [0.0, 0.0]))

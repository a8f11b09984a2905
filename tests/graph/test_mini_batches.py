"""The order of mini-batches, and what is evaluated, whatever a batch is made of."""

from itertools import chain

import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.mini_batches import MiniBatches

PARTS = (torch.arange(0, 14), torch.arange(14, 19), torch.arange(19, 23))


class Numbers(MiniBatches):
    """Batches of graphs of one node, whose target is their number."""

    def graph(self, numbers: Tensor, part: str) -> Graph:
        nodes = torch.arange(len(numbers))
        train, val, test = (nodes if part == name else nodes[:0] for name in ("train", "val", "test"))
        none = torch.empty(2, 0, dtype=torch.long)
        return Graph(torch.ones(len(nodes), 1), gcn_adjacency(none, len(nodes)), numbers, train, val, test)


def order(batches: MiniBatches) -> list[list[int]]:
    return [graph.y.tolist() for graph in batches]


def test_an_epoch_has_every_training_graph_once_in_an_order_of_seed_and_epoch() -> None:
    batches = Numbers(PARTS, 4, seed=1)
    first = order(batches)
    assert [len(batch) for batch in first] == [4, 4, 4, 2] and len(batches) == 4
    assert sorted(chain.from_iterable(first)) == list(range(14))
    batches.set_epoch(1)
    assert order(batches) != first and order(Numbers(PARTS, 4, seed=2)) != first
    batches.set_epoch(0)
    assert order(batches) == first


def test_validation_scores_a_sample_of_the_training_part_that_is_the_same_in_every_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("depthlab.graph.mini_batches.SAMPLE", 6)
    one, other = Numbers(PARTS, 4, seed=1), Numbers(PARTS, 4, seed=2)
    assert [len(graph.train) for graph in one.validation] == [4, 2, 0, 0]
    assert [graph.y.tolist() for graph in one.validation] == [graph.y.tolist() for graph in other.validation]


def test_the_test_scores_every_graph_of_every_part() -> None:
    graphs = list(Numbers(PARTS, 4).all_parts)
    assert sorted(chain.from_iterable(graph.y.tolist() for graph in graphs)) == list(range(23))
    assert [len(graph.test) for graph in graphs] == [0] * 6 + [4]


def test_memory_is_estimated_with_a_full_batch() -> None:
    assert len(Numbers(PARTS, 4).largest.train) == 4

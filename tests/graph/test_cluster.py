"""Batches of parts: every training node once an epoch, in an order of seed and epoch alone."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.cluster import ClusterBatches
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours

NODES, PARTS = 60, 10


def large(scratch: Path, train: Tensor) -> LargeGraph:
    """A ring whose node i is in part i // 6."""
    nodes = torch.arange(NODES)
    ring = torch.stack([nodes.repeat_interleave(2), torch.stack([nodes - 1, nodes + 1], 1).flatten() % NODES])
    keys = (ring[0] * NODES + ring[1]).sort().values
    rows = Neighbours.of(torch.stack([keys // NODES, keys % NODES]), NODES)
    return LargeGraph(nodes[:, None].float(), rows, nodes % 3, train, nodes[:3], nodes[3:6], scratch)


def make(scratch: Path, batch_parts: int = 3, seed: int = 0, train: Tensor | None = None) -> ClusterBatches:
    graph = large(scratch, torch.arange(0, NODES, 2) if train is None else train)
    return ClusterBatches(graph, torch.arange(NODES) // 6, batch_parts, seed, graph)


def trained(batches: ClusterBatches) -> list[list[int]]:
    """The numbers, which are their features, of the nodes that each batch trains on."""
    found = []
    for graph in batches:
        assert isinstance(graph.x, Tensor)
        found.append(sorted(graph.x[graph.train, 0].int().tolist()))
    return found


@pytest.mark.parametrize(("batch_parts", "sizes"), [(1, [8] * 10), (3, None), (10, [60])])
def test_an_epoch_holds_every_training_node_once(tmp_path: Path, batch_parts: int, sizes: list[int] | None) -> None:
    batches = make(tmp_path, batch_parts)
    assert len(batches) == len(list(batches)) == -(-PARTS // batch_parts)
    assert sorted(chain.from_iterable(trained(batches))) == list(range(0, NODES, 2))
    if sizes:  # six nodes a part, and the two beside it
        assert [len(graph.y) for graph in batches] == sizes
    assert torch.equal(batches.labels, torch.arange(0, NODES, 2) % 3)


def test_neighbouring_parts_of_a_batch_are_joined(tmp_path: Path) -> None:
    (whole,) = make(tmp_path, 10)
    assert whole.adjacency.num_edges == NODES
    torch.testing.assert_close(whole.adjacency.values, torch.full((3 * NODES,), 1 / 3))
    for graph in make(tmp_path, 3):  # entries of the whole graph's P, at the halo too
        torch.testing.assert_close(graph.adjacency.values, torch.full_like(graph.adjacency.values, 1 / 3))


@pytest.mark.parametrize("train", [[0], [0, 1, 7], list(range(0, 18))])
def test_every_batch_has_training_nodes(tmp_path: Path, train: list[int]) -> None:
    batches = make(tmp_path, 1, train=torch.tensor(train))
    for epoch in range(5):
        batches.set_epoch(epoch)
        assert len(batches) == len({node // 6 for node in train})
        assert all(trained(batches)) and sorted(chain.from_iterable(trained(batches))) == train


def test_a_batch_has_no_more_parts_than_asked_where_few_have_training_nodes(tmp_path: Path) -> None:
    graph = replace(large(tmp_path, torch.arange(NODES)), train=torch.tensor([0, 1, 59]))
    assignment = torch.arange(NODES) // 3  # 20 parts, of which two are trained on
    batches = ClusterBatches(graph, assignment, 4, 0, graph)
    seen: set[int] = set()
    for epoch in range(20):
        batches.set_epoch(epoch)
        parts = batches._distributed(epoch)
        assert [len(part) for part in parts] == [4, 4] and sorted(chain.from_iterable(trained(batches))) == [0, 1, 59]
        seen |= set(chain.from_iterable(parts))
    assert seen == set(range(20))


def test_parts_without_nodes_are_left_out(tmp_path: Path) -> None:
    graph = large(tmp_path, torch.arange(NODES))
    assignment = torch.where(torch.arange(NODES) < 30, 1, 4)  # 0, 2 and 3 are empty
    batches = ClusterBatches(graph, assignment, 1, 0, graph)
    assert sorted(map(len, trained(batches))) == [30, 30]


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    def order(seed: int, epoch: int, earlier: int = 0) -> list[list[int]]:
        batches = make(tmp_path, seed=seed)
        for previous in range(earlier):
            batches.set_epoch(previous)
            list(batches)
        batches.sampler.set_epoch(epoch)
        return trained(batches)

    assert order(1, 5) == order(1, 5, earlier=5)
    assert order(1, 5) != order(1, 6)
    assert order(1, 5) != order(2, 5)


def test_what_is_measured_and_what_is_evaluated(tmp_path: Path) -> None:
    batches = make(tmp_path)
    probe = batches.probe
    assert isinstance(probe, Graph) and len(probe.train) and len(probe.y) < NODES
    again = make(tmp_path, seed=3).probe
    assert (
        isinstance(probe.x, Tensor) and isinstance(again.x, Tensor) and torch.equal(probe.x, again.x)
    )  # the same in every run
    assert batches.validation == batches.all_parts == (batches.large,)
    assert batches.task_range is None


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("train", [[0, 7, 13, 19], list(range(0, NODES, 3))])
def test_shares_hold_every_training_node_once_and_weigh_to_the_mean(
    tmp_path: Path, count: int, train: list[int]
) -> None:
    batches = make(tmp_path, 5, train=torch.tensor(train))
    shares = [batches.share(number, count) for number in range(count)]
    for whole, *parts in zip(batches, *shares, strict=True):
        nodes = [graph.x[graph.train, 0] for graph in (whole, *parts) if isinstance(graph.x, Tensor)]
        assert torch.equal(torch.cat(nodes[1:]).sort().values, nodes[0].sort().values)
        assert {part.weight for part in parts} == {count / len(whole.train)}
        loss = [part.weight * len(part.train) for part in parts if part.weight]
        assert sum(loss) / count == pytest.approx(1)
    assert batches.rank is None and whole.weight is None


def test_a_share_may_have_no_training_node_but_has_a_part(tmp_path: Path) -> None:
    batches = make(tmp_path, 5, train=torch.tensor([0, 30]))
    assert [len(graph.train) for graph in batches.share(1, 2)] == [0, 0]
    with pytest.raises(UserError, match=r"^some batches have 5 parts, too few for 6 processes: raise loader.parts"):
        batches.share(0, 6)

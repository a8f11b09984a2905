"""Graphs of different topology in one file, and their splits."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import DamagedError, UserError
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.transfer import make_ring_transfer


def make(y: Tensor | None = None, fixed: bool = False) -> GraphCollection:
    """Thirty paths of 1 to 3 nodes."""
    ptr = torch.tensor([0, *[number % 3 + 1 for number in range(30)]]).cumsum(0)
    nodes = torch.arange(int(ptr[-1]))
    starts = torch.isin(nodes, ptr)
    sources = nodes[:-1][~starts[1:]]
    edges = torch.cat([torch.stack([sources, sources + 1]), torch.stack([sources + 1, sources])], 1)
    masks = [(torch.arange(30) % 3 == part)[None] for part in range(3)]
    masks = masks if fixed else [mask[:0] for mask in masks]
    y = torch.arange(30) % 2 if y is None else y
    return GraphCollection(torch.randn(len(nodes), 4), edges, ptr, y, masks[0], masks[1], masks[2], notes=["a note"])


def test_round_trip(tmp_path: Path) -> None:
    graphs, path = make(), tmp_path / "new folder" / "set.pt"
    graphs.save(path, "made from this")
    loaded = GraphCollection.load(path, "made from this")
    assert loaded is not None
    for name in (part.name for part in fields(graphs)):
        value, other = getattr(graphs, name), getattr(loaded, name)
        assert torch.equal(other, value) if isinstance(value, Tensor) else other == value, name
    assert GraphCollection.load(path, "made from that") is None
    make_ring_transfer([], size=4, train_graphs=20, test_graphs=10).save(path, "made from this")
    with pytest.raises(DamagedError):
        GraphCollection.load(path, "made from this")


def test_a_drawn_split_has_the_fractions_of_every_class_and_depends_on_its_seed_alone() -> None:
    graphs = make()
    parts = graphs.parts("4")
    assert [len(part) for part in parts] == [18, 6, 6]
    assert [torch.bincount(graphs.y[part]).tolist() for part in parts] == [[9, 9], [3, 3], [3, 3]]
    assert torch.cat(parts).sort().values.tolist() == list(range(30))
    again, random, other = graphs.parts("4"), graphs.parts("random", 4), graphs.parts("5")
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(parts, again, random, strict=True))
    assert not torch.equal(parts[0], other[0])


def test_a_fixed_split() -> None:
    train, val, test = make(fixed=True).parts("0")
    assert train.tolist() == list(range(0, 30, 3)) and (len(val), len(test)) == (10, 10)
    with pytest.raises(UserError, match=r"^split must be one of 0\.\.0 for this dataset, got 1$"):
        make(fixed=True).parts("1")


def test_graphs_without_a_target_are_in_no_part() -> None:
    for y in (torch.arange(30) % 2, torch.rand(30)):
        y[4] = torch.nan if y.is_floating_point() else -1
        assert 4 not in torch.cat(make(y).parts("0")).tolist()


def test_a_graph_none_of_whose_nodes_has_a_target_is_in_no_part() -> None:
    y = torch.arange(60) % 5
    y[1:3] = -1  # graph 1
    y[3] = -1  # a node of graph 2
    graphs = make(y)
    assert (~graphs.labelled).nonzero().tolist() == [[1]]
    assert torch.cat(graphs.parts("0")).sort().values.tolist() == [0, *range(2, 30)]
    assert all(len(batch.train) for batch in graphs.batches("0", 0, "none", 1))  # the loss of none is not a number


def test_a_class_with_fewer_graphs_than_parts_is_named() -> None:
    y = torch.zeros(30, dtype=torch.long)
    y[:2] = 1
    with pytest.raises(UserError, match=r"^class 1 has 2 graphs, and a split has three parts: leave the class out, or"):
        make(y).parts("0")
    with pytest.raises(UserError, match=r"^class 1 \(ring\) has 2 graphs"):
        replace(make(y), class_names=["path", "ring"]).parts("0")
    assert replace(make(y, fixed=True)).parts("0")


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"^a part of the split has no graph: 30 graphs are too few$"):
        replace(make(), sizes=(0.98, 0.01, 0.01)).parts("0")


def test_targets_of_graphs_and_of_nodes() -> None:
    graphs = make()
    assert torch.equal(graphs.targets(torch.tensor([3, 1])), torch.tensor([1, 1]))
    nodes = make(torch.arange(60) % 5)
    assert nodes.has_node_targets and not graphs.has_node_targets
    assert nodes.targets(torch.tensor([1, 3])).tolist() == [1, 2, 1]  # nodes 1, 2 and 6
    assert [len(part) for part in nodes.parts("0")] == [18, 6, 6]


def test_batches_and_a_pooling_that_does_not_fit() -> None:
    batches = make().batches("0", 0, "sum", 7, seed=3)
    assert (batches.batch_size, batches.seed, batches.pooling, len(batches)) == (7, 3, "sum", 3)
    nodes = make(torch.arange(60) % 5)
    assert nodes.batches("0", 0, "none", 7).probe.ptr is None
    with pytest.raises(UserError, match=r"^dataset\.pooling=mean is for graph-level targets"):
        nodes.batches("0", 0, "mean", 7)
    with pytest.raises(UserError, match=r"^dataset\.pooling=none is for node-level targets"):
        make().batches("0", 0, "none", 7)

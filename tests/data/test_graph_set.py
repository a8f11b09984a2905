"""Many graphs in one file, and their batches."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from depthlab.config.errors import DamagedError, UserError
from depthlab.data.dataset import Dataset
from depthlab.data.graph_set import GraphSet
from depthlab.data.transfer import make_ring_transfer
from depthlab.data.tree_neighbors_match import make_tree_neighbors_match

RING = make_ring_transfer([], size=4, train_graphs=20, test_graphs=10)
TREE = make_tree_neighbors_match([], radius=2)
BOTH = pytest.mark.parametrize("graphs", [RING, TREE], ids=["ring", "tree"])


@BOTH
def test_round_trip(graphs: GraphSet, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "task.pt"
    graphs.save(path, "made from this")
    loaded = GraphSet.load(path, "made from this")
    assert loaded is not None
    for name, value in asdict(graphs).items():
        other = getattr(loaded, name)
        assert torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value, name
    assert GraphSet.load(path, "made from that") is None
    assert GraphSet.load(tmp_path / "absent.pt", "made from this") is None


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    RING.save(tmp_path / "task.pt", "made from this")
    with pytest.raises(DamagedError, match=r"task\.pt is damaged \(.+\)$"):
        Dataset.load(tmp_path / "task.pt", "made from this")


@BOTH
def test_batches_of_the_split(graphs: GraphSet) -> None:
    batches = graphs.batches("0", batch_size=7, seed=3)
    for part, mask in zip(("train", "val", "test"), (graphs.train, graphs.val, graphs.test), strict=True):
        assert torch.equal(batches.parts[part], mask[0].nonzero().view(-1))
    assert (batches.batch_size, batches.seed, batches.task_range) == (7, 3, 2)
    assert batches.probe.x.shape == (7 * graphs.num_nodes, graphs.width)
    assert int(graphs.y.max()) + 1 == {10: 4, 5: 5}.get(graphs.width, 4)


def test_there_is_no_other_split() -> None:
    with pytest.raises(UserError, match=r"^split must be one of 0\.\.0 for this dataset, got 1$"):
        RING.batches("1", batch_size=7)


def test_an_empty_part_is_refused() -> None:
    graphs = GraphSet(**asdict(RING) | {"val": torch.zeros_like(RING.val)})
    with pytest.raises(UserError, match=r"^a part of the split has no graph"):
        graphs.batches("0", batch_size=7)

"""The prepared file, and the graph of one split."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import DamagedError
from depthlab.data.dataset import Dataset
from depthlab.files import load_torch, save_torch
from depthlab.ops import SparseFeatures
from tests.unpickling import Marker

NODES, SPLITS = 24, 3


def make(density: float = 0.5) -> Dataset:
    """A ring in both directions; split s trains on nodes s, s + 3, ... of the first half."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(NODES, 50, generator=generator)
    x[torch.rand(NODES, 50, generator=generator) >= density] = 0
    nodes = torch.arange(NODES)
    ring = torch.stack([nodes, (nodes + 1) % NODES])
    train = torch.stack([(nodes < 12) & (nodes % SPLITS == split) for split in range(SPLITS)])
    val = torch.stack([(nodes < 12) & (nodes % SPLITS != split) for split in range(SPLITS)])
    y = nodes % 4
    y[23] = -1
    return Dataset(x, torch.cat([ring, ring.flip(0)], dim=1), y, train, val, (nodes >= 12).expand(SPLITS, NODES))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "new folder" / "ring.pt"
    make().save(path, "made from this")
    return path


def test_round_trip(saved: Path) -> None:
    loaded = Dataset.load(saved, "made from this")
    assert loaded is not None
    for field in fields(Dataset):
        value, other = getattr(make(), field.name), getattr(loaded, field.name)
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other, field.name
    assert (loaded.num_nodes, int(loaded.y.max())) == (NODES, 3)
    assert [p.name for p in saved.parent.iterdir()] == ["ring.pt"]


def test_names_weights_and_notes_are_kept(tmp_path: Path) -> None:
    path, names = tmp_path / "ring.pt", [f"node {number}" for number in range(NODES)]
    weights = torch.rand(2 * NODES)
    replace(make(), edge_weight=weights, node_names=names, class_names=list("abcd"), directed=True, notes=["a"]).save(
        path, "so"
    )
    loaded = Dataset.load(path, "so")
    assert loaded is not None and loaded.edge_weight is not None and torch.equal(loaded.edge_weight, weights)
    assert (loaded.node_names, loaded.class_names, loaded.directed, loaded.notes) == (names, list("abcd"), True, ["a"])


def test_splits_are_drawn_where_there_are_none() -> None:
    none = torch.zeros(0, NODES, dtype=torch.bool)
    dataset = replace(make(), train=none, val=none, test=none, sizes=(0.5, 0.25, 0.25))
    third = dataset.parts("3")
    assert sum(len(part) for part in third) == 23 and len(third[0]) == 11 and 23 not in torch.cat(third)
    for part, same in zip(third, dataset.parts("random", 3), strict=True):
        assert torch.equal(part, same)
    for part, same in zip(dataset.parts("public"), dataset.parts("0"), strict=True):
        assert torch.equal(part, same)


def test_file_holds_tensors_and_words_only(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    assert content["fingerprint"] == "made from this"
    assert content["x"].is_sparse


def test_no_file(tmp_path: Path) -> None:
    assert Dataset.load(tmp_path / "ring.pt", "made from this") is None


def test_stale_fingerprint(saved: Path) -> None:
    assert Dataset.load(saved, "made from that") is None


def test_older_format(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.data.dataset.FORMAT", 99)
    assert Dataset.load(saved, "made from this") is None


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.99])
def test_torn_file(saved: Path, fraction: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(DamagedError, match=r"ring\.pt is damaged \(.+\)$"):
        Dataset.load(saved, "made from this")


@pytest.mark.parametrize("content", [{"fingerprint": "made from this", "format": 1}, {}, [1]])
def test_file_of_something_else(saved: Path, content: object) -> None:
    save_torch(content, saved)
    with pytest.raises(DamagedError, match=r"ring\.pt is damaged \(\w+\)$"):
        Dataset.load(saved, "made from this")


def test_nothing_is_unpickled(saved: Path) -> None:
    marker = saved.parent / "executed"
    save_torch(load_torch(saved) | {"comment": Marker(marker)}, saved)
    with pytest.raises(DamagedError, match=r"is damaged \(UnpicklingError\)$"):
        Dataset.load(saved, "made from this")
    assert not marker.exists()


def test_failed_save_leaves_the_old_file_and_no_part(saved: Path, no_room: None) -> None:
    before = saved.read_bytes()
    with pytest.raises(OSError, match="File too large"):
        make(density=0.9).save(saved, "made from that")
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["ring.pt"]


@pytest.mark.parametrize(("density", "sparse"), [(0.02, True), (0.5, False)])
def test_features_are_sparse_where_that_is_faster(density: float, sparse: bool) -> None:
    dataset = make(density)
    features = dataset.features()
    assert isinstance(features, SparseFeatures) == sparse
    assert torch.equal(features.to_dense(), dataset.x)


@pytest.mark.parametrize(("split", "row"), [("public", 0), ("0", 0), ("2", 2)])
def test_graph_of_a_fixed_split(split: str, row: int) -> None:
    dataset = make()
    graph = dataset.graph(split, split_seed=5)
    assert graph.train.tolist() == [node for node in range(12) if node % SPLITS == row]
    assert graph.val.tolist() == [node for node in range(12) if node % SPLITS != row]
    assert graph.test.tolist() == list(range(12, NODES))
    assert torch.equal(graph.y, dataset.y)
    edges = set(map(tuple, graph.edge_index.T.tolist()))
    assert edges == set(map(tuple, dataset.edge_index.T.tolist()))


def test_graph_of_a_random_split() -> None:
    nodes = torch.arange(1600)
    mask = torch.zeros(1, 1600, dtype=torch.bool)
    dataset = Dataset(torch.ones(1600, 2), torch.tensor([[0, 1], [1, 0]]), nodes % 2, mask, mask, mask)
    graph, again, other = (dataset.graph("random", seed) for seed in (3, 3, 4))
    assert (len(graph.train), len(graph.val), len(graph.test)) == (40, 500, 1000)
    assert torch.equal(graph.train, again.train) and torch.equal(graph.test, again.test)
    assert not torch.equal(graph.train, other.train)

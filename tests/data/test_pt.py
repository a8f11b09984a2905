"""A PyG graph saved with torch.save is read without unpickling."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.pt import read_pt
from tests.unpickling import Marker

NODES = 12


def data(**changes: Any) -> Data:
    nodes = torch.arange(NODES)
    content: dict[str, Any] = {
        "x": torch.rand(NODES, 3), "y": nodes % 3, "edge_index": torch.stack([nodes, (nodes + 1) % NODES]),
        "edge_weight": 1.0 + nodes, "class_names": ["a", "b", "c"], "node_names": [f"n{node}" for node in nodes],
    }  # fmt: skip
    return Data(**content | changes)


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "graph.pt")
    return folder / "graph.pt"


@pytest.mark.parametrize("form", ["Data", "dict", "tuple"])
def test_a_graph_in_every_form(tmp_path: Path, form: str) -> None:
    graph = data()
    content = {"Data": graph, "dict": graph.to_dict(), "tuple": (graph, None)}[form]
    found = read_pt([saved(tmp_path, content)])
    assert isinstance(found, Dataset)
    assert torch.equal(found.x, graph.x) and torch.equal(found.y, graph.y)
    assert found.edge_weight is not None and torch.equal(found.edge_weight, graph.edge_weight)
    assert found.class_names == ["a", "b", "c"] and found.node_names == [f"n{node}" for node in range(NODES)]
    assert found.train.shape == (0, NODES)


def test_masks_of_one_and_of_many_splits(tmp_path: Path) -> None:
    part = torch.arange(NODES) % 3
    one = {f"{name}_mask": part == number for number, name in enumerate(("train", "val", "test"))}
    assert read_pt([saved(tmp_path, data(**one))]).train.shape == (1, NODES)
    many = {name: torch.stack([mask] * 4, dim=1) for name, mask in one.items()}
    assert read_pt([saved(tmp_path, data(**many))]).test.shape == (4, NODES)


def test_a_regression(tmp_path: Path) -> None:
    found = read_pt([saved(tmp_path, data(y=torch.rand(NODES, 1), class_names=None))], task="regression")
    assert found.y.dtype == torch.float32 and found.class_names is None


REFUSED = [
    (data(x=None), "there is no x, the features of shape (nodes, features): for nodes without features use torch.ones"),
    (data(y=None), "there is no y, the targets of shape (nodes,)"),
    (data(y=torch.rand(NODES)), "y must hold integers of shape (12,)"),
    ([data(), 3], "graph.pt must hold one graph, got 2 objects: save one Data"),
    (HeteroData(), "graph.pt holds"),
    (torch.ones(3), "graph.pt must hold one graph, got Tensor: save a torch_geometric.data.Data, or a dict of"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_what_is_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read_pt([saved(tmp_path, content)])
    assert str(error.value).startswith(sentence)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "graph.pt"
    for write in (lambda content: torch.save(content, path), lambda content: path.write_bytes(pickle.dumps(content))):
        write({"x": Marker(marker)})
        with pytest.raises(UserError, match=r"^graph\.pt .*: save a torch_geometric\.data\.Data, or a dict of tensors"):
            read_pt([path])
        assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"hello world", b"\x80\x04K\x01."])
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "graph.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"^graph\.pt .*: save a torch_geometric\.data\.Data"):
        read_pt([tmp_path / "graph.pt"])


def test_a_file_that_is_only_part_of_one(tmp_path: Path) -> None:
    path = saved(tmp_path, data())
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match=r"^graph\.pt is not a file of tensors: save"):
        read_pt([path])


def test_the_classes_are_safe_only_while_a_file_is_read(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    assert Data in before  # PyG has added it, and unpickles a file that holds what is not among these
    read_pt([saved(tmp_path, data())])
    assert set(torch.serialization.get_safe_globals()) == before
    assert "GlobalStorage" not in str(torch.serialization.get_safe_globals())


def test_one_file() -> None:
    with pytest.raises(UserError, match=r"^it must be one file, got 2 files: name one"):
        read_pt([Path("a.pt"), Path("b.pt")])


def test_many_graphs_in_a_list_or_in_lists_of_parts(tmp_path: Path) -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    graphs = [Data(x=torch.rand(3, 2), edge_index=edges, y=torch.tensor([number % 2])) for number in range(9)]
    found = read_pt([saved(tmp_path, graphs)])
    assert isinstance(found, GraphCollection) and (found.num_graphs, len(found.train)) == (9, 0)
    parts = read_pt([saved(tmp_path, {"train": graphs[:4], "val": graphs[4:6], "test": graphs[6:]})])
    assert isinstance(parts, GraphCollection) and parts.train.sum() == 4

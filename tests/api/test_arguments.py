"""Classes and graphs in memory as arguments of `dl.train`."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.datasets import FakeDataset, KarateClub
from torch_geometric.nn.models import GraphSAGE

import depthlab as dl
from depthlab.api.arguments import dataset_settings, model_settings
from depthlab.data.convert import to_dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.pt import read_pt
from tests.api.conftest import Train


def rings(count: int = 20) -> list[Data]:
    """Rings of 5 to 8 nodes, whose class is the parity of their number; none for two of them."""
    made = []
    for number in range(count):
        nodes = torch.arange(5 + number % 4)
        y = torch.tensor([number % 2 if count > 2 else -1])
        made.append(Data(x=torch.rand(len(nodes), 3), edge_index=torch.stack([nodes, nodes.roll(-1)]), y=y))
    return made


def test_a_class_is_trained_and_loaded(train: Train) -> None:
    run = train(model=GraphSAGE, dropout=0)
    assert run.settings["model"]["target"] == "torch_geometric.nn.models.basic_gnn.GraphSAGE"
    loaded = dl.load(run.run_id)
    assert dl.examine(loaded).depth == 3 and len(loaded.states()) == 4
    named = {"model": "module", "model.target": "my_net.py:Net"}
    assert model_settings("my_net.py:Net") == named and model_settings("gcn") == {"model": "gcn"}


def test_a_class_that_cannot_be_imported_is_refused() -> None:
    class Local(torch.nn.Module):
        pass

    for model, sentence in (
        (Local, "defined where no other process can import it (a notebook, a script or a function)"),
        (Local(), "got an object of Local: dl.train builds the network itself, from depth and seed"),
        (3, "model must be a name or a class, got an object of int"),
    ):
        with pytest.raises(dl.UserError) as error:
            model_settings(model)
        assert sentence in str(error.value)


def test_a_graph_in_memory_is_saved_once_and_recorded(
    train: Train, karate: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = dataset_settings(karate, {})
    path = Path(given["dataset.path"])
    assert given == {"dataset": "pt", "dataset.path": str(path)} and path.parent == Path("graphs")
    assert dataset_settings(KarateClub(), {}) == given
    saved = read_pt([path])
    assert torch.equal(saved.x, karate.x) and torch.equal(saved.y, karate.y)
    trained = dl.train(model="gcn", depth=2, dataset=karate, epochs=2, progress=False, measures=[])
    assert trained.settings["dataset"]["path"] == str(path) and len(list(path.parent.glob("*.pt"))) == 1
    monkeypatch.chdir(tmp_path / "graphs")
    assert Path(dataset_settings(karate, {})["dataset.path"]) == Path(path.name)


def test_other_graph_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    graph = nx.karate_club_graph()
    for node in graph:
        graph.nodes[node].update(x=[float(node)], y=graph.nodes[node]["club"])
    saved = read_pt([Path(dataset_settings(graph, {})["dataset.path"])])
    assert saved.class_names == ["Mr. Hi", "Officer"] and saved.edge_weight is not None
    masks = {f"{part}_mask": np.arange(6) % 3 == number for number, part in enumerate(("train", "val", "test"))}
    edges = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    arrays: dict[str, Any] = {"x": np.eye(6), "edge_index": edges, "y": np.linspace(0, 1, 6), **masks}
    given = dataset_settings(arrays, {"dataset.metric": "r2"})
    assert (given["dataset.task"], "dataset.metric" in given) == ("regression", False)
    saved = read_pt([Path(given["dataset.path"])], task="regression")
    assert saved.train.tolist() == [masks["train_mask"].tolist()] and saved.edge_index.shape == (2, 5)
    assert dataset_settings(saved, {})["dataset.path"] == given["dataset.path"]


def test_a_dataset_keeps_its_direction(karate: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    assert "dataset.directed" not in dataset_settings(to_dataset(karate), {})
    directed = to_dataset(karate, directed=True)
    assert dataset_settings(directed, {})["dataset.directed"] is True
    assert "dataset.directed" not in dataset_settings(directed, {"dataset.directed": False})


def test_edge_weights_are_selected(karate: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    karate.edge_attr = torch.full((karate.num_edges, 1), 2.0)
    with pytest.raises(dl.UserError, match=r"edge attribute edge_attr of shape .*dataset\.edge_weight="):
        dataset_settings(karate, {})
    for name, weights in (("none", False), ("edge_attr", True)):
        given = dataset_settings(karate, {"dataset.edge_weight": name})
        assert given["dataset.edge_weight"] == "auto"
        assert (read_pt([Path(given["dataset.path"])]).edge_weight is not None) == weights
    weighted = to_dataset(karate, edge_weight="edge_attr")
    for name, weights in (("none", False), ("auto", True)):
        given = dataset_settings(weighted, {"dataset.edge_weight": name})
        assert (read_pt([Path(given["dataset.path"])]).edge_weight is not None) == weights


def test_many_graphs_are_saved_and_trained(train: Train, tmp_path: Path) -> None:
    graphs = rings()
    given = dataset_settings(graphs, {"dataset.edge_weight": "none"})
    path = Path(given["dataset.path"])
    assert path.parent.name == "graphs" and given["dataset.batch_size"] == 64 and "dataset.task" not in given
    saved = read_pt([path])
    assert isinstance(saved, GraphCollection) and saved.y.tolist() == [number % 2 for number in range(20)]
    assert saved.edge_weight is None and dataset_settings(tuple(graphs), {"dataset.edge_weight": "none"}) == given
    for graph in graphs:
        graph.edge_weight = torch.ones(graph.num_edges)
    weighted = dataset_settings(graphs, {"dataset.batch_size": 4})
    assert "dataset.batch_size" not in weighted and weighted["dataset.path"] != given["dataset.path"]
    settings: dict[str, Any] = {"dataset.batch_size": 8, "epochs": 2, "progress": False}
    run = dl.train(model="gcn", depth=2, dataset=graphs, **settings)
    assert run.settings["dataset"]["batch_size"] == 8 and run.settings["dataset"]["path"] == weighted["dataset.path"]


def test_many_graphs_in_parts_with_numbers_and_with_targets_of_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    graphs = rings()
    parts = dataset_settings({"train": graphs[:12], "val": graphs[12:16], "test": graphs[16:]}, {})
    saved = read_pt([Path(parts["dataset.path"])])
    assert [len(part) for part in saved.parts("0")] == [12, 4, 4]
    for graph in graphs:
        graph.y = torch.rand(graph.num_nodes)
    given = dataset_settings(graphs, {})
    assert (given["dataset.pooling"], given["dataset.task"], given["dataset.metric"]) == ("none", "regression", "mae")
    seed_everything(0)  # with another seed a class may have no graph
    fake = dataset_settings(FakeDataset(num_graphs=9, num_classes=3, edge_dim=0), {})
    assert len(read_pt([Path(fake["dataset.path"])]).y) == 9


def test_other_objects_are_not_graphs(karate: Data) -> None:
    del karate.y
    for graph, sentence in (
        (3, "the graph must be a PyG Data, a networkx graph"),
        (karate, "there is no y, the targets of shape (nodes,)"),
        (rings(2), "y must hold two or more classes, got 0: there is nothing to classify"),
        ({"train": rings(), "val": [], "test": []}, "val is empty: every part of a split needs a graph"),
        ({"train": rings()}, "the parts must be named train, val and test, got train"),
    ):
        with pytest.raises(dl.UserError) as error:
            dataset_settings(graph, {})
        assert str(error.value).startswith(sentence)

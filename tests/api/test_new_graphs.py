"""Graphs that a network was not trained on: many of them, and tables in a folder."""

import csv
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GIN, global_add_pool

import depthlab as dl
from depthlab.api.run import Run
from tests.api.conftest import Train
from tests.conftest import Command

SHORT: dict[str, Any] = {"model": "gin", "depth": 2, "epochs": 4, "progress": False, "tracking.artifacts": ["model"]}


def graphs(count: int = 24, of_nodes: bool = False) -> list[Data]:
    """Rings of 3 to 9 nodes with random features; the class is that of the number of nodes, odd or even."""
    generator, made = torch.Generator().manual_seed(count), []
    for number in range(count):
        nodes = torch.arange(3 + number % 7)
        y = torch.arange(len(nodes)) % 2 if of_nodes else torch.tensor([len(nodes) % 2])
        x = torch.rand(len(nodes), 4, generator=generator)
        made.append(Data(x=x, edge_index=torch.stack([nodes, nodes.roll(-1)]), y=y))
    return made


def trained_on(given: Any, **settings: Any) -> Run:
    return dl.train(dataset=given, **{"dataset.batch_size": 5, **SHORT, **settings})


def unlabelled(given: list[Data]) -> list[Data]:
    return [Data(x=graph.x, edge_index=graph.edge_index) for graph in given]


@pytest.mark.parametrize(
    "settings", [{}, {"rewiring": "virtual_node", "model": "gcn"}, {"norm": "batch"}, {"dataset.directed": True}]
)
def test_a_row_for_each_new_graph(train: Train, settings: dict[str, Any]) -> None:
    given = graphs()
    loaded = dl.load(trained_on(given, **settings).run_id)
    own, new = loaded.predict(), loaded.predict(unlabelled(given))
    torch.testing.assert_close(new.output, own.output)
    assert list(new.to_frame().columns) == ["graph", "class", "p_0", "p_1"] and len(new.output) == 24
    one = loaded.predict(Data(x=given[3].x, edge_index=given[3].edge_index))
    torch.testing.assert_close(one.output, own.output[3:4])
    states = loaded.states(unlabelled(given))
    assert len(states) == 3 and torch.equal(states[0], torch.cat([graph.x for graph in given]))
    assert dl.examine(loaded, unlabelled(given)).verdict == "unknown"


def test_a_row_for_each_node_where_targets_are_of_nodes(train: Train) -> None:
    given = graphs(of_nodes=True)
    loaded = dl.load(trained_on(given).run_id)
    frame = loaded.predict(unlabelled(given[:3])).to_frame()
    assert frame.columns[0] == "node" and len(frame) == 3 + 4 + 5
    assert frame["p_1"].tolist() == pytest.approx(loaded.predict().to_frame()["p_1"][:12].tolist(), abs=1e-5)


def test_what_does_not_fit(train: Train, karate: Data) -> None:
    given = graphs()
    many, one = dl.load(trained_on(given).run_id), dl.load(train(dataset="csbm").run_id)
    without = unlabelled(given)
    without[2].x = None
    for loaded, data, sentence in (
        (many, karate, "the network was trained on 4 features per node of graphs-"),
        (many, without, "graph 2 has no x, the features of shape (nodes, features)"),
        (many, 3, f"{many.settings['dataset']['name']} has many graphs: give a PyG Data or a list of them, got int"),
        (one, given, "csbm is one graph, and the data are 24: predict each of them on its own"),
    ):
        with pytest.raises(dl.UserError) as error:
            loaded.predict(data)
        assert str(error.value).startswith(sentence)


def test_predict_graphs_of_a_file(
    train: Train, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = graphs()
    run = trained_on(given)
    torch.save(unlabelled(given), "graphs.pt")
    assert command("predict", f"run={run.run_id}", "data=graphs.pt", "out=new.csv").code == 0
    assert command("predict", f"run={run.run_id}").code == 0
    new, own = pd.read_csv("new.csv"), pd.read_csv("predictions.csv")
    pd.testing.assert_frame_equal(new, own)
    torch.save({"train": given[:9], "val": given[9:12], "test": given[12:]}, "parts.pt")
    assert command("predict", f"run={run.run_id}", "data=parts.pt", "out=parts.csv").code == 0
    pd.testing.assert_frame_equal(pd.read_csv("parts.csv"), own)
    Path("folder").mkdir()
    done = command("predict", f"run={run.run_id}", "data=folder")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: folder is a folder, and graphs-") and "give a file with a PyG Data" in done.err


class Pooled(torch.nn.Module):
    """A network whose output is that of graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.gin = GIN(4, 8, 2, 2)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = global_add_pool(self.gin(x, edge_index), batch)
        return pooled


def test_examine_a_list_of_graphs() -> None:
    given = graphs()
    found = dl.examine(Pooled(), given)
    nodes = sum(len(graph.x) for graph in given)
    assert found.name == f"Pooled, 1 layer on {nodes} nodes" and set(found.scores) == {"train_acc"}
    given[5].x = torch.rand(len(given[5].x), 3)
    with pytest.raises(dl.UserError, match=r"^the 24 graphs do not fit in a batch: give all the same attributes and"):
        dl.examine(Pooled(), given)
    given[5].x = None
    with pytest.raises(dl.UserError, match=r"^graph 5: the Data has no x, the features"):
        dl.examine(Pooled(), given)


def tables(folder: Path, columns: str = "name,age,size,kind,part") -> Path:
    """A path of 40 people of two kinds."""
    folder.mkdir()
    numbers, rows = random.Random(0), []
    for number in range(40):
        row = {"name": f"person {number}", "age": numbers.random(), "size": numbers.random(), "kind": "ab"[number % 2]}
        rows.append(row | {"part": ["train", "val", "test", "train"][number // 2 % 4]})
    with (folder / "people.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    edges = [f"person {number},person {number + 1}" for number in range(39)]
    (folder / "edges.csv").write_text("\n".join(["source,target", *edges]))
    return folder


def test_predict_tables_of_a_folder(
    train: Train, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tables(tmp_path / "club")
    named = ["path=club", "nodes=people.csv", "label=kind", "split_column=part"]
    run = dl.train(dataset="csv", overrides=[f"dataset.{setting}" for setting in named], **SHORT | {"model": "gcn"})
    assert command("predict", f"run={run.run_id}").code == 0
    own = pd.read_csv("predictions.csv")
    for name, columns in (("again", "name,age,size,kind,part"), ("new", "name,age,size")):
        tables(tmp_path / name, columns)
        done = command("predict", f"run={run.run_id}", f"data={name}", f"out={name}.csv")
        assert (done.code, done.err) == (0, "")
        pd.testing.assert_frame_equal(pd.read_csv(f"{name}.csv"), own)
    assert own["node"][7] == "person 7" and list(own.columns) == ["node", "class", "p_a", "p_b"]
    tables(tmp_path / "other", "name,age")
    (tmp_path / "empty").mkdir()
    for name, sentence in (
        ("other", "other: the network was trained on 2 features per node of club, but the data have 1"),
        ("empty", "empty/edges.csv is missing: the folder must hold edges.csv, people.csv"),
    ):
        done = command("predict", f"run={run.run_id}", f"data={name}")
        assert (done.code, done.err.count("\n")) == (1, 1) and done.err.startswith(f"error: {sentence}")

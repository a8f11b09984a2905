"""`dl.load`: the network of a run, from its record and from its checkpoint."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

import depthlab as dl
from depthlab.config.compose import compose_settings
from depthlab.data.convert import to_dataset
from depthlab.data.prepare import load as load_dataset
from depthlab.files import load_torch, save_torch
from tests.api.conftest import SMALL, Train

CSBM = ["dataset=csbm", "dataset.nodes=120"]


@pytest.mark.parametrize("settings", [{}, {"rewiring": "virtual_node"}, {"rewiring": "random", "model": "gcnii"}])
def test_predictions_agree_with_the_test_score(train: Train, settings: dict[str, Any]) -> None:
    run = train(**settings)
    loaded = dl.load(run.run_id)
    dataset, _ = load_dataset(compose_settings(CSBM).dataset)
    _, val, test = dataset.parts("0")
    predicted = loaded.predict()
    assert predicted.output.shape == (120, 2) and not loaded.network.training
    for nodes, score in ((val, "best_val_acc"), (test, "test_acc")):
        hits = predicted.classes[nodes] == dataset.y[nodes]
        assert float(hits.float().mean()) == pytest.approx(run.scores[score])
    again = loaded.predict(dataset)
    torch.testing.assert_close(again.output, predicted.output)
    frame = loaded.predict(Data(x=dataset.x, edge_index=dataset.edge_index)).to_frame()
    assert list(frame.columns) == ["node", "class", "p_0", "p_1"]
    assert frame["class"].tolist() == predicted.classes.tolist()
    assert repr(loaded).startswith(f"{settings.get('model', 'gcn')} of 3 layers, trained on csbm: 64 features")


def test_measures_agree_with_the_run(train: Train) -> None:
    run = train(rewiring="random")
    loaded = dl.load(run.run_id)
    for name, curve in loaded.measure().items():
        assert curve == pytest.approx(run.curves[name])
    assert list(loaded.measure(measures=["stable_rank"])) == ["stable_rank"]
    states = loaded.states()
    assert [tuple(state.shape) for state in states] == [(120, 64), (120, 64), (120, 64), (120, 2)]
    with pytest.raises(dl.UserError, match="there is no measure by layer energy: choose one of dirichlet_energy"):
        loaded.measure(measures=["energy"])
    assert dl.examine(loaded).verdict == run.verdict


def test_load_a_checkpoint_without_a_store(train: Train, tmp_path: Path) -> None:
    run = train()
    output = dl.load(run.run_id).predict().output
    (tmp_path / "mlflow.db").unlink()
    shutil.rmtree(tmp_path / "mlartifacts")
    (path,) = (tmp_path / "checkpoints").glob("*/final.ckpt")
    for source in (path, str(path), path.parent):
        assert torch.equal(dl.load(source).predict().output, output)
    with pytest.raises(dl.UserError, match="there is no database"):
        dl.load(run.run_id)


def test_a_checkpoint_of_an_earlier_version(train: Train, tmp_path: Path) -> None:
    output = dl.load(train().run_id).predict().output
    (path,) = (tmp_path / "checkpoints").glob("*/final.ckpt")
    content = load_torch(path)
    old = {key: content[key] for key in ("run_id", "state_dict")}
    config = {key: value for key, value in content["config"].items() if key != "norm"}  # a setting that came later
    save_torch(old | {"config": config | {"gone": 3}}, path)
    loaded = dl.load(path)
    assert torch.equal(loaded.predict().output, output) and loaded.settings["norm"] == "none"


def test_an_edited_dataset_is_not_taken_for_that_of_the_run(train: Train, tmp_path: Path) -> None:
    nodes = [f"n{i},{i % 7},{i % 2},{('cat', 'dog')[i % 2]}" for i in range(20)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,a,b,label", *nodes, ""]), encoding="utf-8")
    (tmp_path / "edges.csv").write_text("source,target\n" + "".join(f"n{i},n{i + 1}\n" for i in range(19)), "utf-8")
    settings: dict[str, Any] = {"model": "gcn", "depth": 2, "dataset": "csv", "split": "random", "epochs": 1}
    settings |= {"dataset.path": str(tmp_path), "progress": False}
    run = dl.train(**settings)
    columns = ["node", "class", "p_cat", "p_dog"]
    assert list(dl.load(run.run_id).predict().to_frame().columns) == columns
    path = tmp_path / "nodes.csv"
    path.write_text(path.read_text("utf-8").replace("cat", "zebra"), "utf-8")  # class 1 of 0 dog, 1 zebra
    loaded = dl.load(run.run_id)
    data = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]))
    assert list(loaded.predict(data).to_frame().columns) == columns
    for use in (loaded.predict, loaded.states, lambda: dl.examine(loaded)):
        with pytest.raises(dl.UserError, match="has changed since the run: restore it, or give the graph to use as"):
            use()


def test_a_graph_whose_weights_or_direction_a_run_cannot_use(train: Train) -> None:
    edges, x = torch.tensor([[0, 1], [1, 2]]), torch.ones(3, 64)
    data = Data(x=x, edge_index=edges, edge_weight=torch.tensor([1.0, 2.0]))
    rewired, plain = dl.load(train(rewiring="virtual_node").run_id), dl.load(train().run_id)
    with pytest.raises(dl.UserError, match="rewiring=virtual_node has no weights for the edges that it adds"):
        rewired.predict(data)
    directed = to_dataset(data, y=torch.arange(3) % 2, directed=True)
    torch.testing.assert_close(plain.predict(directed).output, plain.predict(data).output)
    assert not torch.equal(plain.predict(data).output, plain.predict(Data(x=x, edge_index=edges)).output)


def test_features_are_normalised_as_in_training(train: Train) -> None:
    run = train(**{"dataset.normalize_features": False})
    dataset, _ = load_dataset(compose_settings(CSBM).dataset)
    loaded = dl.load(run.run_id)
    unit = dataset.x.abs() / dataset.x.abs().sum(1, keepdim=True)
    with pytest.raises(dl.UserError, match="sum to 1 and those of csbm do not: give them unnormalised"):
        loaded.predict(replace(dataset, x=unit))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Data(x=torch.ones(3, 5), edge_index=torch.tensor([[0], [1]])), "trained on 64 features per node of csbm"),
        (Data(x=torch.ones(3, 64)), "the Data has no edge_index"),
        (Data(edge_index=torch.tensor([[0], [1]])), "there is no x"),
        (Data(x=torch.full((3, 64), torch.nan), edge_index=torch.tensor([[0], [1]])), "x must hold numbers that are"),
        (Data(x=torch.ones(3, 64), edge_index=torch.tensor([[0], [7]])), "edge_index must hold node numbers from 0"),
        (7, "the graph must be a PyG Data"),
    ],
)
def test_data_with_other_features_are_refused(train: Train, data: Any, sentence: str) -> None:
    loaded = dl.load(train(epochs=1).run_id)
    with pytest.raises(dl.UserError) as error:
        loaded.predict(data)
    assert sentence in str(error.value)


def test_runs_without_weights_are_refused(train: Train, tmp_path: Path) -> None:
    run = train(epochs=1, **{"tracking.artifacts": []})
    (path,) = (tmp_path / "checkpoints").glob("*/final.ckpt")
    other = tmp_path / "other.pt"
    save_torch({"a": 1}, other)
    (tmp_path / "damaged.ckpt").write_bytes(path.read_bytes()[:1000])
    changed = load_torch(path)
    changed["state_dict"].popitem()
    save_torch(changed, tmp_path / "changed.ckpt")
    for source, sentence in (
        (run.run_id, f"the run {run.name} keeps no weights: train it again with tracking.artifacts=["),
        ("0" * 32, "there is no run 00000000"),
        (tmp_path / "no.ckpt", "there is no checkpoint"),
        (other, "other.pt is not the final checkpoint of a run: give a final.ckpt"),
        (tmp_path / "damaged.ckpt", "is damaged"),
        (tmp_path / "changed.ckpt", "the weights do not fit depthlab.nn.gcn.GCN, which was changed after the run"),
    ):
        with pytest.raises(dl.UserError) as error:
            dl.load(source)
        assert sentence in str(error.value) and "\n" not in str(error.value)


def test_many_graphs_and_a_graph_in_parts(train: Train) -> None:
    sizes = {"train_graphs": 60, "test_graphs": 20, "batch_size": 16, "size": 6}
    ring = {"dataset": "ring_transfer", "recipe": "none", "overrides": [f"dataset.{k}={v}" for k, v in sizes.items()]}
    settings = {key: value for key, value in {**SMALL, **ring}.items() if key != "dataset.nodes"}
    loaded = dl.load(dl.train(**settings).run_id)
    assert list(loaded.predict().to_frame().columns)[:2] == ["graph", "class"]
    assert loaded.predict().output.shape == (100, 5) and len(loaded.states()) == 4
    examined = dl.examine(loaded)  # validation graphs, whose score is not that of the training
    assert (examined.verdict, examined.scores) == ("unknown", {})
    with pytest.raises(dl.UserError, match="the graphs of ring_transfer have the same edges: call predict without"):
        loaded.predict(Data(x=torch.ones(3, 5), edge_index=torch.tensor([[0], [1]])))
    run = train(loader="cluster", **{"loader.parts": 4, "loader.batch_parts": 2})
    loaded = dl.load(run.run_id)
    assert loaded.predict().output.shape == (120, 2) and dl.examine(loaded).depth == 3

"""The commands `depthlab predict` and `depthlab examine`."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

import depthlab as dl
from depthlab.api import examine_command, predict_command
from depthlab.completion import COMMAND_SETTINGS
from depthlab.config.compose import compose_settings
from depthlab.data.prepare import load
from tests.api.conftest import Train
from tests.conftest import Command
from tests.unpickling import Marker

CSBM = ("dataset=csbm", "dataset.nodes=120")
NET = """
from torch import nn
from torch_geometric.nn import GCNConv

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, num_layers):
        super().__init__()
        sizes = [in_channels] + [16] * (num_layers - 1) + [out_channels]
        self.convs = nn.ModuleList(GCNConv(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x, edge_index):
        for conv in self.convs:
            x = conv(x, edge_index).tanh()
        return x
"""


def test_predict(train: Train, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = train()
    done = command("predict", f"run={run.run_id}")
    assert done == (0, "wrote predictions.csv: 120 rows with node, class, p_0, p_1\n", "")
    expected = dl.load(run.run_id).predict().to_frame()
    pd.testing.assert_frame_equal(pd.read_csv("predictions.csv"), expected, check_dtype=False)
    (checkpoint,) = tmp_path.glob("checkpoints/*/final.ckpt")
    assert command("predict", f"run={checkpoint}", "out=again.csv").code == 0
    assert Path("again.csv").read_text() == Path("predictions.csv").read_text()
    dataset, _ = load(compose_settings(list(CSBM)).dataset)
    torch.save(Data(x=dataset.x, edge_index=dataset.edge_index, node_names=[f"n{k}" for k in range(120)]), "new.pt")
    assert command("predict", f"run={run.run_id}", "data=new.pt", "out=new.csv").code == 0
    new = pd.read_csv("new.csv")
    assert new["node"][7] == "n7" and new["class"].tolist() == expected["class"].tolist()
    torch.save(Marker(tmp_path / "executed"), "pickle.pt")
    torch.save(Data(edge_index=dataset.edge_index), "empty.pt")
    wrong = {"no.pt": "there is no file no.pt", "pickle.pt": "pickle.pt holds", "empty.pt": "empty.pt: there is no x"}
    for name, sentence in wrong.items():
        done = command("predict", f"run={run.run_id}", f"data={name}")
        assert done.code == 1 and done.err.startswith(f"error: {sentence}") and not Path("executed").exists()


def test_examine_a_run(train: Train, command: Command, tmp_path: Path) -> None:
    run = train()
    done = command("examine", f"run={run.run_id}", f"out={tmp_path / 'a.csv'}", f"figure={tmp_path / 'a.png'}")
    assert done.code == 0, done.err
    assert done.out.startswith(f"GCN, 3 layers on 120 nodes: {run.verdict}\n") and done.err == ""
    assert done.out.endswith(f"wrote {tmp_path / 'a.csv'}\nwrote {tmp_path / 'a.png'}\n")
    table = pd.read_csv(tmp_path / "a.csv", index_col="layer")
    assert table["effective_rank"].tolist() == pytest.approx(run.curves["effective_rank"])
    assert (tmp_path / "a.png").stat().st_size


def test_examine_a_network_with_weights_from_a_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some_net.py").write_text(NET)
    module = ("model=module", "model.target=some_net.py:Net", *CSBM, "depth=3", "dropout=0")
    fresh = command("examine", *module)
    assert fresh.code == 0, fresh.err
    assert fresh.out.startswith("some_net.Net, 3 layers on 120 nodes: untrained\n")
    from depthlab.config.modules import load as load_class

    network = load_class("some_net.py:Net")(64, 2, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.1)
    weights: dict[str, Any] = network.state_dict()
    torch.save(weights, "weights.pt")
    torch.save({"state_dict": {f"model.net.{name}": value for name, value in weights.items()}}, "lightning.ckpt")
    plain, nested = (command("examine", *module, f"ckpt={name}") for name in ("weights.pt", "lightning.ckpt"))
    assert plain.out == nested.out and "untrained" not in plain.out
    for path, content, sentence in (
        ("pickle.pt", Marker(tmp_path / "executed"), "pickle.pt is not a file of tensors: save torch.save("),
        ("list.pt", [1], "list.pt holds no state_dict: save"),
        ("other.pt", {"a": torch.ones(2)}, "the weights in other.pt do not fit Net with these settings: Missing key"),
    ):
        torch.save(content, path)
        done = command("examine", *module, f"ckpt={path}")
        assert (done.code, done.err.startswith(f"error: {sentence}"), done.err.count("\n")) == (1, True, 1), done.err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("predict", "predict needs a run: add run=ID"),
        ("predict rn=3", "cannot read 'rn=3': write one of run, out, data, tracking.uri as key=value"),
        ("predict run=x out=x.txt", "out must be the path of a csv file, got x.txt"),
        ("predict run=x out=no/x.csv", "there is no folder no: create it, or choose another out"),
        ("predict run=x", "there is no database"),
        ("predict run=x tracking.uri=foo", "tracking.uri must begin with sqlite:///"),
        ("examine", "examine needs a network: add run=ID of a recorded run, or settings such as"),
        ("examine run=x depth=3", "cannot read 'depth=3': write one of tracking.uri as key=value"),
        ("examine run=x figure=x.gif", "figure must be a file .png or .pdf or .svg in an existing folder, got x.gif"),
        ("examine model=gcx", "there is no model gcx: choose one of"),
        ("examine dataset=csbm model=gcn ckpt=no.pt", "there is no file no.pt: ckpt must be a file with weights"),
    ],
)
def test_wrong_input_raises_one_sentence(
    command: Command, typed: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(*typed.split())
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: {sentence}") and done.err.count("\n") == 1


def test_completion_lists_the_settings_of_predict_and_examine() -> None:
    assert set(COMMAND_SETTINGS["predict"]) == set(predict_command.SETTINGS)
    assert set(COMMAND_SETTINGS["examine"]) == set(examine_command.SETTINGS)


@pytest.mark.parametrize(("name", "line"), [("predict", "data=FILE"), ("examine", "figure=FILE.png")])
def test_help(command: Command, name: str, line: str) -> None:
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "") and line in done.out

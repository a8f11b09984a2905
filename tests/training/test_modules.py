"""External modules in whole commands: runs, resumed runs, studies, sweeps, and their identity."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.files import load_torch
from depthlab.training.identity import FINAL, LAST, checkpoint_folder
from depthlab.training.run import run
from tests.conftest import Command
from tests.training.conftest import SMALL, Compose

SAGE = ("model=module", "model.target=torch_geometric.nn.models.GraphSAGE")
NET = """
import torch
from torch import nn
from torch_geometric.nn import GCNConv
from parts import make_head


class Net(nn.Module):
    def __init__(self, in_channels, out_channels, depth, hidden, dropout):
        super().__init__()
        self.convs = nn.ModuleList(GCNConv(in_channels if k == 0 else hidden, hidden) for k in range(depth))
        self.dropout, self.norm = nn.Dropout(dropout), nn.BatchNorm1d(hidden)
        self.head = make_head(hidden, out_channels)

    def forward(self, x, edge_index, edge_weight=None):
        for conv in self.convs:
            x = self.dropout(self.norm(conv(x, edge_index, edge_weight)).relu())
        return self.head(x)
"""
PARTS = "from torch import nn\n\n\ndef make_head(a, b):\n    return nn.Linear(a, b, bias={bias})\n"


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory with my_net.py and a file that it imports."""
    import sys

    folder, path = tmp_path / "own", list(sys.path)
    folder.mkdir()
    (folder / "my_net.py").write_text(NET)
    (folder / "parts.py").write_text(PARTS.format(bias=True))
    monkeypatch.chdir(folder)
    yield folder
    sys.path[:] = path
    for name in ("my_net", "parts"):
        sys.modules.pop(name, None)


OWN = ("model=module", "model.target=my_net.py:Net")


def test_a_run_records_the_same_as_other_runs(settings: Compose, records: MlflowClient, net: Path) -> None:
    by_hop = "measures=[dirichlet_energy,rayleigh_quotient,effective_rank,sensitivity,walk_weight,bottleneck_ratio]"
    chosen = settings(*OWN, "depth=3", "epochs=5", "p_drop=0.2", "tracking.artifacts=[config,model,states]", by_hop)
    result = run(chosen)
    assert result.name.startswith("csbm-my_net.Net-d3-s0")
    layers = {"gradient_norm", "gradient_norm_at_start", "dirichlet_energy", "rayleigh_quotient", "effective_rank"}
    assert all(len(result.curves[name]) == 4 for name in layers)
    assert all(result.curves[name] for name in ("sensitivity", "walk_weight", "bottleneck_ratio"))
    assert result.diagnosis.verdict != "unknown" and "test_acc" in result.scores
    tags = records.get_run(result.run_id).data.tags
    assert (tags["model"], tags["memory"]) == ("my_net.Net", "full")
    assert "model.target=my_net.py:Net" not in tags["overrides"]  # no provenance was given
    weights = load_torch(checkpoint_folder(chosen) / FINAL, map_location="cpu")["state_dict"]
    assert weights["network.module.norm.running_mean"].shape == (64,)


def test_a_resumed_run_is_exact(settings: Compose, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout of torch, DropEdge, and running statistics."""
    from depthlab.training.callbacks import Recorder

    common = (*OWN, "depth=2", "epochs=12", "patience=100", "p_drop=0.3", "checkpoint_every=4")
    whole = run(settings(*common, "tracking.experiment=whole"))
    weights = load_torch(checkpoint_folder(settings(*common)) / FINAL, map_location="cpu")["state_dict"]
    epoch_end = Recorder.on_train_epoch_end

    def stop(self: Recorder, trainer: Any, model: Any) -> None:
        epoch_end(self, trainer, model)
        if trainer.current_epoch == 9:
            raise RuntimeError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_epoch_end", stop)
        with pytest.raises(RuntimeError, match="stop"):
            run(settings(*common))
    torch.manual_seed(99)
    resumed = run(settings(*common, "ckpt=last"))
    assert (resumed.scores, resumed.curves) == (whole.scores, whole.curves)
    again = load_torch(checkpoint_folder(settings(*common)) / FINAL, map_location="cpu")["state_dict"]
    torch.testing.assert_close(again, weights, rtol=0, atol=0)


def test_after_an_edit_a_checkpoint_is_said_to_be_of_other_code(settings: Compose, net: Path) -> None:
    before, other = (checkpoint_folder(settings(*OWN, "depth=2", setting)) for setting in ("hidden=8", "hidden=16"))
    (net / "parts.py").write_text(PARTS.format(bias=False))
    after = checkpoint_folder(settings(*OWN, "depth=2", "hidden=8"))
    assert after != before
    for folder, reason in ((other, "other settings"), (before, "other code of my_net.py or a setting that is not in")):
        folder.mkdir(parents=True)
        (folder / LAST).touch()
        with pytest.raises(
            UserError, match=f"^{after.name} has no checkpoint, {folder.name} has, of a run with {reason}"
        ):
            run(settings(*OWN, "depth=2", "hidden=8", "ckpt=last"))
        (folder / LAST).unlink()


@pytest.mark.parametrize("extra", [
    ("rewiring=virtual_node",), ("rewiring=random",), ("loader=cluster", "loader.parts=4", "loader.batch_parts=2"),
    ("p_drop=0.3", "drop_edge.mode=rescale"), ("trainer.precision=bf16",),
])  # fmt: skip
def test_rewired_edges_and_mini_batches(settings: Compose, net: Path, extra: tuple[str, ...]) -> None:
    result = run(settings(*OWN, "depth=2", "epochs=3", *extra))
    assert result.outcome == "finished" and len(result.curves["dirichlet_energy"]) == 3


def test_many_graphs_of_one_topology(tasks: Compose) -> None:
    ring = ("dataset=ring_transfer", "dataset.train_graphs=20", "dataset.test_graphs=4", "dataset.batch_size=8")
    result = run(tasks(*SAGE, *ring, "depth=2", "hidden=8", "epochs=2", "dropout=0"))
    assert result.outcome == "finished" and len(result.curves["gradient_norm"]) == 3


def test_from_the_command_line(train_here: Command, records: MlflowClient, net: Path) -> None:
    done = train_here(*SMALL, *OWN, "depth=2", "epochs=2", "tracking.artifacts=[]")
    assert done.code == 0 and done.out.startswith("csbm-my_net.Net-d2-s0-split0-nodes120-epochs2: finished"), done.err
    (tags,) = (recorded.data.tags for recorded in records.search_runs(["1"]))
    assert "model.target=my_net.py:Net" in tags["command_line"] and "model=module" in tags["command_line"]


REFUSED = [
    ("memory=checkpoint", r"^the layers of GraphSAGE cannot be recomputed one by one: use memory=full$"),
    ("replicas=2", r"^GraphSAGE cannot be trained as replicas, whose weights are stacked: leave replicas out$"),
    ("norm=batch", r"^norm is for architectures of depthlab: leave it out, GraphSAGE may have a norm in model\.args$"),
    ("weight_decay_linear=0.1", r"^all parameters of GraphSAGE have weight_decay: leave weight_decay_linear out$"),
    ("p_drop=0.1 drop_edge.per_layer=true", r"^all layers of GraphSAGE get the same edges: use drop_edge\.per_layer="),
    ("rewiring=fully_adjacent", r"^all layers of GraphSAGE get the same edges: use rewiring\.layers=all$"),
    ("model.layers=3", r"^model\.layers must be a pattern of names such as blocks\.\*, got 3$"),
    ("model.names.depth=[3]", r"^model\.names\.depth must be a list of names of arguments, got \[3\]$"),
    ("model.names.depth=L", r"^model\.names\.depth must be a list, got L$"),
    ("model.args=3", r"^model\.args is a group of settings: set one of them$"),
    ("model._target_=a.B", r"^model\._target_ cannot be changed"),
]


@pytest.mark.parametrize(("typed", "sentence"), REFUSED, ids=[typed for typed, _ in REFUSED])
def test_settings_that_need_single_layers_are_refused(settings: Compose, typed: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        settings(*SAGE, *typed.split())


@pytest.mark.slow
def test_a_study_trains_an_edited_network_again(command: Command, records: MlflowClient, net: Path) -> None:
    """Also if only an imported file is edited; a comment changes nothing."""
    small = (*SMALL[:2], "progress=false", "depth=2", "seed=0,1", "epochs=2", "hidden=8", "jobs=1")

    def trained() -> int:
        done = command("study", "study=custom", *small, *OWN, f"tracking.uri={records.tracking_uri}")
        assert done.code == 0, done.err
        return sum("epochs_run" in recorded.data.tags for recorded in records.search_runs(["1"]))

    assert (trained(), trained()) == (2, 2)
    (net / "parts.py").write_text("# a comment\n" + PARTS.format(bias=True))
    assert trained() == 2
    (net / "parts.py").write_text(PARTS.format(bias=False))
    assert trained() == 4


def test_methods_of_a_study_may_set_targets(settings: Compose, net: Path) -> None:
    from depthlab.study.grid import expand

    runs = expand(
        {
            "ours": "model=gcn",
            "PyG": "model=module model.target=torch_geometric.nn.models.GAT +model.args.heads=4",
            "own": "model=module model.target=my_net.py:Net",
        },
        {"dataset": "csbm", "depth": "2,4"}, {}, [],
    )  # fmt: skip
    assert [one.settings.model.label for one in runs[::2]] == ["gcn", "GAT", "my_net.Net"]
    assert len({one.hash for one in runs}) == 6
    assert runs[2].settings.model.arguments["args"] == {"heads": 4}

"""`DepthMonitor` in a user's Lightning training."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv
from torch_geometric.nn.models import GCN

import depthlab as dl
from depthlab.api.monitor import evenly_spaced


class Training(pl.LightningModule):
    """A typical LightningModule: a PyG network, full-batch, with dropout and batch normalisation."""

    def __init__(self, depth: int = 3, validates: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = GCN(34, 16, depth, 4, dropout=0.5, norm="batch")
        self.validates = validates

    def training_step(self, batch: Data, index: int) -> torch.Tensor:
        output = self.net(batch.x, batch.edge_index)[batch.train_mask]
        return nn.functional.cross_entropy(output, batch.y[batch.train_mask])

    def validation_step(self, batch: Data, index: int) -> None:
        if self.validates:
            self.net(batch.x, batch.edge_index)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fit(module: pl.LightningModule, loader: Any, epochs: int = 5, **options: Any) -> pl.Trainer:
    options = {"logger": False, "callbacks": []} | options
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    torch.manual_seed(1)
    trainer.fit(module, loader, loader)
    return trainer


@pytest.mark.parametrize("validates", [False, True])
def test_the_monitor_does_not_change_the_training(karate: Data, validates: bool) -> None:
    plain, watched = Training(validates=validates), Training(validates=validates)
    fit(plain, DataLoader([karate]))
    state = torch.get_rng_state()
    monitor = dl.DepthMonitor(every=2)
    fit(watched, DataLoader([karate]), callbacks=[monitor])
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in watched.modules())
    assert [entry["epoch"] for entry in monitor.history] == [0, 2, 4]


def test_measured_layers_and_gradients(karate: Data) -> None:
    module, monitor = Training(), dl.DepthMonitor(every=4, measures=["dirichlet_energy", "stable_rank"])
    fit(module, DataLoader([karate]), epochs=5, callbacks=[monitor])
    last = monitor.history[-1]
    found = dl.examine(module.net, karate, measures=["stable_rank"], is_trained=True)
    assert last["layers"] == [1, 2, 3]
    for name in ("dirichlet_energy", "stable_rank"):
        assert last[name] == pytest.approx(found.curves[name][1:])
    assert len(last["gradient_norm"]) == 3 and all(value > 0 for value in last["gradient_norm"])
    frame = monitor.to_frame()
    assert frame.loc[(4, 2), "stable_rank"] == last["stable_rank"][1]
    assert dl.DepthMonitor().to_frame().empty


def test_another_graph_and_a_named_encoder(karate: Data) -> None:
    class Encoded(Training):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Module()
            self.net.first, self.net.convs = nn.Linear(34, 8), nn.ModuleList([GCNConv(8, 8), GCNConv(8, 4)])

            def forward(x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
                h = self.net.first(x)
                for conv in self.net.convs:
                    h = conv(h, edge_index).relu()
                return h

            self.net.forward = forward

    monitor = dl.DepthMonitor(data=karate, module="net")
    fit(Encoded(), DataLoader([karate]), epochs=1, callbacks=[monitor])
    assert monitor.history[0]["layers"] == [0, 1, 2]


def test_metrics_are_logged(karate: Data, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    fit(Training(depth=12), DataLoader([karate]), logger=logger, callbacks=[dl.DepthMonitor(every=2, points=3)])
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    for column in ("depth/dirichlet_energy/layer_01", "depth/effective_rank/layer_12", "depth/effective_rank/retained"):
        assert table[column].notna().sum() == 3, column


def test_the_last_but_one_state_is_always_measured() -> None:
    assert evenly_spaced(1, 3, 9) == [1, 2, 3]
    assert evenly_spaced(1, 32, 9) == [1, 5, 10, 14, 18, 22, 27, 31, 32]
    assert evenly_spaced(1, 32, 3) == [1, 31, 32] and evenly_spaced(0, 32, 2) == [0, 32]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"every": 0}, "every must be a whole number of at least 1, got 0"),
        ({"points": 1}, "points must be a whole number of at least 2"),
        ({"measures": ["energy"]}, "there is no measure by layer energy: choose one of dirichlet_energy"),
        ({"data": 3}, "the graph must be a PyG Data"),
    ],
)
def test_a_wrong_argument_raises_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(dl.UserError) as error:
        dl.DepthMonitor(**settings)
    assert str(error.value).startswith(sentence)


def test_a_training_without_message_passing_is_refused_before_it_starts(karate: Data) -> None:
    module = Training()
    module.net = nn.Linear(34, 4)
    with pytest.raises(dl.UserError, match="Training has no message-passing layer of PyG"):
        fit(module, DataLoader([karate]), callbacks=[dl.DepthMonitor()])


def test_calling_only_parts_of_the_network_stops_the_monitor_but_not_the_training(karate: Data) -> None:
    class Pieces(Training):
        def training_step(self, batch: Data, index: int) -> torch.Tensor:
            output = self.net.convs[0](batch.x, batch.edge_index)
            return nn.functional.cross_entropy(output, batch.y)

    monitor = dl.DepthMonitor(every=1)
    with pytest.warns(UserWarning, match="DepthMonitor stops: GCN was not called as a whole"):
        trainer = fit(Pieces(), DataLoader([karate]), callbacks=[monitor])
    assert trainer.current_epoch == 5 and monitor.history == []


def test_the_package_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Callback:
        pass

    package = type(sys)("lightning.pytorch")
    package.Callback = Callback  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", type(sys)("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", package)
    monkeypatch.delitem(sys.modules, "depthlab.api.monitor")
    assert issubclass(dl.DepthMonitor, Callback)
    monkeypatch.undo()
    assert issubclass(dl.DepthMonitor, pl.Callback)

"""`python -m benchmarks.monitor`: measure the overhead of `DepthMonitor(every=10)` in a Lightning training on Cora.

A LightningModule trains PyG's GCN (64 channels, dropout 0.5, Adam, full-batch) with 2 and 32 layers, with and without
validation after every epoch. Training with and without the monitor alternates in turns of 10 epochs, in two processes,
so each turn contains one measurement. The fastest turn counts.
"""

import argparse
import logging
import warnings
from collections.abc import Callable
from functools import partial

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn.models import GCN

import depthlab as dl
from benchmarks.timing import alternate_processes
from depthlab.config.compose import compose_settings
from depthlab.data.prepare import load

EVERY, WARM_UP = 10, 20
DEPTHS = (2, 32)


class Plain(pl.LightningModule):
    """A typical LightningModule for node classification."""

    def __init__(self, depth: int, validates: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.validates = GCN(1433, 64, depth, 7, dropout=0.5), validates

    def training_step(self, batch: Data, index: int) -> torch.Tensor:
        output = self.net(batch.x, batch.edge_index)[batch.train_mask]
        return torch.nn.functional.cross_entropy(output, batch.y[batch.train_mask])

    def validation_step(self, batch: Data, index: int) -> None:
        output = self.net(batch.x, batch.edge_index)[batch.val_mask]
        self.log("val_acc", (output.argmax(-1) == batch.y[batch.val_mask]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01, weight_decay=5e-4)


def cora() -> Data:
    """Cora, loaded by PyG."""
    dataset, _ = load(compose_settings(["dataset=cora"]).dataset)
    masks = {f"{part}_mask": getattr(dataset, part)[0] for part in ("train", "val", "test")}
    return Data(x=dataset.x, edge_index=dataset.edge_index, y=dataset.y, **masks)


def training(depth: int, validates: bool, monitored: bool) -> Callable[[], None]:
    """Return a function that trains ten more epochs; the monitor measures the first of them."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    module, loader = Plain(depth, validates), DataLoader([cora()])
    monitor = dl.DepthMonitor(every=EVERY)
    trainer = pl.Trainer(
        max_epochs=0, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[monitor] if monitored else [],
    )  # fmt: skip

    def more(epochs: int = EVERY) -> None:
        trainer.fit_loop.max_epochs += epochs
        trainer.fit(module, loader, loader if validates else None)

    more(WARM_UP)
    return more


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitor", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of ten epochs on each side, at most")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="layers of the networks")
    options = parser.parse_args()
    load(compose_settings(["dataset=cora"]).dataset)  # reports missing data
    table = Table("", "plain, ms an epoch", "with DepthMonitor(every=10)", "overhead")
    for depth in options.depths:
        for validates in (True, False):
            sides = {name: partial(training, depth, validates, name == "monitor") for name in ("plain", "monitor")}
            took = {
                name: 1000 * one.seconds / EVERY for name, one in alternate_processes(sides, options.rounds).items()
            }
            what = f"GCN, {depth} layers, {'validated' if validates else 'not validated'}"
            share = 100 * (took["monitor"] / took["plain"] - 1)
            table.add_row(what, f"{took['plain']:.1f}", f"{took['monitor']:.1f}", f"{share:+.1f} %")
    console = Console(width=120)
    console.print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, the least of at most {options.rounds} turns"
    )
    console.print(table)


if __name__ == "__main__":
    main()

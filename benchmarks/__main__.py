"""`make bench`: one training step and one epoch, ours beside PyG's layers and beside the floor, on Cora.

All sides run with denormal numbers flushed to zero, without which 1,024 layers take many times as long, and with freed
memory kept by the C library, as runs of deep networks have it: PyG's side gains by that as ours does.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from benchmarks.epochs import epoch_overhead
from benchmarks.peers import gcnii_floor, peer_of
from benchmarks.timing import alternate
from src.data.prepare import load
from src.data.rewire import make_batches
from src.errors import UserError
from src.graph.graph import Graph
from src.models.base import NodeClassifier
from src.ops import SparseFeatures
from src.settings import compose_settings
from src.train.build import build_model
from src.train.fit import quiet_libraries
from src.train.memory import keep_freed_blocks

NETWORKS = [("gcn", 2, 64), *(("gcnii", depth, 64) for depth in (2, 8, 64, 256, 1024)),
            *(("gcnii", 64, hidden) for hidden in (16, 32, 128, 256)), ("acmp", 16, 64)]  # fmt: skip


def our_step(model: NodeClassifier, graph: Graph) -> Callable[[], None]:
    """One optimiser step, exactly what Lightning drives."""
    optimizer = model.configure_optimizers()
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()

    return step


def pyg_step(model: nn.Module, graph: Graph) -> Callable[[], None]:
    """One optimiser step of the peer, with dense features."""
    assert isinstance(graph.x, SparseFeatures)
    x, edge_index = graph.x.to_dense(), graph.edge_index
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4, fused=True)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x, edge_index)[graph.train], graph.y[graph.train]).backward()
        optimizer.step()

    return step


def step_rows(console: Console, table: Table, rounds: int) -> None:
    """Time the steps and add a row for each network; deep ones are timed less often, and twice at least."""
    for name, depth, hidden in NETWORKS:
        settings = compose_settings([f"model={name}", f"depth={depth}", f"hidden={hidden}", "memory=full"])
        dataset, _ = load(settings["dataset"])
        graph = make_batches(settings, dataset).probe
        sizes = (graph.x.shape[1], dataset.num_classes, depth, settings["hidden"], settings["dropout"])
        peer = peer_of(name, sizes, settings["model"])
        model = build_model(settings, graph, dataset.num_classes)
        sides = {"ours": our_step(model, graph), "pyg": pyg_step(peer, graph)}
        if name == "gcnii":
            sides["floor"] = gcnii_floor(graph, depth, settings["hidden"])
        took = alternate(sides, max(2, min(rounds, rounds * 64 // depth)), warm_up=2)
        floor = took.get("floor")
        row = (
            f"{name}, {depth} layers of {hidden}",
            *(f"{1000 * took[side]:.2f}" for side in ("ours", "pyg")),
            f"{took['pyg'] / took['ours']:.1f} x faster",
            f"{1000 * floor:.2f}" if floor else "",
            f"{took['ours'] / floor:.2f} x floor" if floor else "",
        )
        table.add_row(*row)
        console.print(" | ".join(cell for cell in row if cell))  # deep ones take a while


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="timed repetitions of each step")
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_blocks()
    console = Console()
    console.print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, Cora,"
        f" medians of {options.rounds} alternating rounds"
    )
    steps = Table("one training step", "ours ms", "PyG ms", "ratio", "floor ms", "ratio", title="Steps")
    step_rows(console, steps, options.rounds)
    console.print(steps)
    epochs = Table("one epoch", "Lightning + MLflow ms", "step ms", "evaluation ms", "beyond both", title="Epochs")
    for depth, count in ((2, 600), (64, 100)):
        epoch, step, evaluation = (1000 * seconds for seconds in epoch_overhead(depth, our_step, count))
        beyond = epoch - step - evaluation
        share = 100 * beyond / (step + evaluation)
        epochs.add_row(
            f"gcnii depth {depth}",
            f"{epoch:.2f}",
            f"{step:.2f}",
            f"{evaluation:.2f}",
            f"{beyond:.2f} ms, {share:.1f} %",
        )
    console.print(epochs)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

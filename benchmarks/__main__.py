"""`make bench`: one training step and one epoch, ours beside PyG's layers and beside the floor, on Cora.

Each side has a process of its own, and they take turns, of several steps of which the last is timed; the least counts.
All flush denormal numbers to zero, without which 1,024 layers take many times as long. Ours has the heap of a run;
PyG's has it once as any script has it, and once with freed memory kept by the C library, as our deep runs have it.
The deepest networks of PyG take some gigabytes each.
"""

import argparse
import sys
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.epochs import epoch_overhead
from benchmarks.steps import floor, ours, pyg
from benchmarks.timing import alternate_processes
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.training.fit import quiet_libraries

NETWORKS = [("gcn", 2, 64), *(("gcnii", depth, 64) for depth in (2, 8, 64, 256, 1024)),
            *(("gcnii", 64, hidden) for hidden in (16, 32, 128, 256)), ("acmp", 16, 64)]  # fmt: skip


def step_rows(console: Console, table: Table, rounds: int) -> None:
    """Time the steps and add a row for each network; deep ones are timed less often, and five times at least."""
    for name, depth, hidden in NETWORKS:
        network = (name, depth, hidden)
        makers = {
            "ours": partial(ours, *network),
            "pyg": partial(pyg, *network, keep_heap=False),
            "kept": partial(pyg, *network, keep_heap=True),
        }
        if name == "gcnii":
            makers["floor"] = partial(floor, depth, hidden)
        took = alternate_processes(makers, max(5, min(rounds, rounds * 64 // depth)))
        row = [f"{name}, {depth} layers of {hidden}", f"{1000 * took['ours']:.2f}"]
        for side in ("pyg", "kept"):
            row += [f"{1000 * took[side]:.0f}", f"{took[side] / took['ours']:.1f} x faster"]
        if "floor" in took:
            row += [f"{1000 * took['floor']:.2f}", f"{took['ours'] / took['floor']:.2f} x floor"]
        table.add_row(*row)
        console.print(" | ".join(row))  # deep ones take a while


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="timed repetitions of each step")
    options = parser.parse_args()
    quiet_libraries()
    load(compose_settings([]).dataset)  # where there are no data it says so, before processes are started
    console = Console(width=120)
    console.print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, Cora,"
        f" the least of {options.rounds} alternating rounds"
    )
    columns = ("ours ms", "PyG ms", "", "PyG, heap kept, ms", "", "floor ms", "")
    steps = Table("one training step", *columns, title="Steps")
    step_rows(console, steps, options.rounds)
    console.print(steps)
    epochs = Table("one epoch", "Lightning + MLflow ms", "step ms", "evaluation ms", "beyond both", title="Epochs")
    for depth, count in ((2, 600), (64, 100)):
        epoch, step, evaluation = (1000 * seconds for seconds in epoch_overhead(depth, count))
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

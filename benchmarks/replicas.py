"""`python -m benchmarks.replicas`: runs that differ in split or seed alone, trained at once or one after another.

Epochs: training step and evaluation of every network, all of them as one batched network beside each by itself, in
turns, medians; nothing is recorded and Lightning has no part in it. Runs: complete runs as `python -m src.train` does
them, one after another and then together, in one process and once each, from data to record. Takes some minutes; time
nothing else meanwhile.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.steps import our_step
from benchmarks.timing import alternate
from depthlab.address import sqlite_address
from depthlab.config.compose import compose_settings
from depthlab.config.schema import Settings
from depthlab.folders import HOME, data
from depthlab.graph.graph import Graph
from depthlab.training.allocator import keep_freed_blocks
from depthlab.training.experiment import Experiment, experiment, read_data
from depthlab.training.fit import quiet_libraries
from depthlab.training.module import TrainingModule
from depthlab.training.replica_settings import replica_settings
from depthlab.training.replicas import run_replicas
from depthlab.training.result import Result
from depthlab.training.run import run
from depthlab.training.stacked import Replicas

KINDS = {
    "Texas, GCNII-32, splits": ("dataset=texas", "model=gcnii", "depth=32"),
    "Wisconsin, GCNII-32, splits": ("dataset=wisconsin", "model=gcnii", "depth=32"),
    "Texas, GCN-2, splits": ("dataset=texas", "model=gcn", "depth=2"),
    "Cora, GCN-2, seeds": ("dataset=cora", "model=gcn", "depth=2"),
    "Cora, GCNII-8, seeds": ("dataset=cora", "model=gcnii", "depth=8"),
}


def epoch_by_itself(network: TrainingModule, graph: Graph) -> Callable[[], None]:
    """One training step and one evaluation."""
    step = our_step(network, graph)

    def epoch() -> None:
        network.train()
        step()
        network.eval()
        with torch.inference_mode():
            network.validation_step([graph])

    return epoch


def epochs(settings: list[Settings], rounds: int) -> dict[str, float]:
    """Median seconds of an epoch of all: `one by one` and `together`."""
    shared = read_data(settings[0])

    def experiments() -> list[Experiment]:
        return [experiment(replace(single, memory="full"), shared) for single in settings]

    singles = [epoch_by_itself(single.module, single.graph) for single in experiments()]
    stacked = experiments()
    replicas = Replicas([replica.module for replica in stacked], [replica.graph for replica in stacked])
    steps = iter(range(1_000_000))

    def together() -> None:
        replicas.train(next(steps))
        replicas.validate()

    return alternate({"one by one": lambda: [epoch() for epoch in singles], "together": together}, rounds, warm_up=2)


def runs(settings: list[Settings], folder: Path) -> tuple[list[float], list[list[Result]]]:
    """Wall seconds, and results, of full runs one after another and together."""
    seconds, results = [], []
    for name in ("alone", "together"):
        tracking = {"uri": sqlite_address(Path(folder, f"{name}.db")), "artifacts": ["config"]}
        chosen = [replace(single.with_tracking(**tracking), progress=False) for single in settings]
        run(replace(chosen[0], epochs=1))  # makes the database
        start = time.perf_counter()
        alone = name == "alone"
        results.append([run(one) for one in chosen] if alone else list(run_replicas(chosen, [{} for _ in chosen])))
        seconds.append(time.perf_counter() - start)
    return seconds, results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", action="store_true", help="full runs too")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_blocks()  # as a run of replicas does: for both sides
    console = Console(width=140)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.replicas} replicas")
    columns = ("one by one", "together", "faster")
    table = Table("an epoch of all", *(f"{name} ms" if "faster" not in name else name for name in columns))
    full = Table("full runs", *(f"{name} s" if "faster" not in name else name for name in columns), "epochs of all")
    for kind, typed in KINDS.items():
        if options.only.lower() not in kind.lower():
            continue
        settings = replica_settings(compose_settings([*typed, f"replicas={options.replicas}", "norm=none"]))
        epoch = epochs(settings, options.rounds)
        alone, together = epoch["one by one"], epoch["together"]
        table.add_row(kind, f"{1000 * alone:.0f}", f"{1000 * together:.0f}", f"{alone / together:.1f} times")
        if options.runs:
            source = data()
            with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {HOME: folder}):
                Path(folder, "data").symlink_to(source)
                (alone, together), results = runs(settings, Path(folder))
            each = ", ".join(str(int(sum(result.statistics["epochs_run"] for result in side))) for side in results)
            full.add_row(kind, f"{alone:.1f}", f"{together:.1f}", f"{alone / together:.1f} times", each)
    console.print(table)
    if options.runs:
        console.print(full)


if __name__ == "__main__":
    main()

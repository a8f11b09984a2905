"""`python -m benchmarks.memory`: processor seconds of a training step and its peak memory against depth, on Cora.

GCNII that keeps what its layers make, GCNII that recomputes it (`memory=checkpoint`), and RevGCN, each with 64 channels
and in a process of its own, on one thread. Memory is the highest that the process reaches in three steps beyond what it
holds with graph, weights and a first, shallow step; seconds are those of the processor, of the fastest step. Takes some
minutes.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.rewiring import memory
from src.data.prepare import load
from src.data.rewire import make_batches
from src.settings import compose_settings
from src.train.build import build_model
from src.train.fit import quiet_libraries
from src.train.memory import estimate_memory, give_back_freed_blocks

DEPTHS = (64, 256, 1024)
NETWORKS = {
    "GCNII full": ("model=gcnii", "memory=full"),
    "GCNII checkpoint": ("model=gcnii", "memory=checkpoint"),
    "RevGCN": ("model=revgcn", "memory=full", "norm=layer"),
}
STEPS = 3


def measure(typed: tuple[str, ...], depth: int) -> str:
    """`seconds s, memory MB (estimate MB)` of one network at one depth."""
    quiet_libraries()
    torch.set_num_threads(1)
    settings = compose_settings(["dataset=cora", "recipe=none", "hidden=64", f"depth={depth}", *typed])
    dataset, _ = load(settings["dataset"])
    graph = make_batches(settings, dataset).probe
    times, before = [], 0.0
    for layers, steps in ((2, 1), (depth, STEPS)):  # the first brings libraries and buffers with it
        model = build_model(settings | {"depth": layers}, graph, dataset.num_classes)
        if model.recomputes and not model.reuses_buffers:
            give_back_freed_blocks()
        optimizer = model.configure_optimizers()
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
        for _ in range(steps):
            start = time.process_time()
            optimizer.zero_grad()
            model.training_step(graph).backward()
            optimizer.step()
            times.append(time.process_time() - start)
    peak = memory("VmHWM") - before
    estimate = estimate_memory(settings, graph, dataset.num_classes)[settings["memory"]] / 1e6
    return f"{min(times[1:]):.2f} s, {peak:,.0f} MB ({estimate:,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("depths", nargs="*", type=int, default=DEPTHS, help=f"{DEPTHS} if left out")
    depths = parser.parse_args().depths
    table = Table("one step", *(f"{depth} layers" for depth in depths))
    console = Console()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name, typed in NETWORKS.items():
            cells = []
            for depth, cell in zip(depths, pool.map(measure, [typed] * len(depths), depths), strict=True):
                console.print(f"{name}, {depth} layers: {cell}")  # deep ones take a while
                cells.append(cell)
            table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    main()

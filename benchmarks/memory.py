"""`python -m benchmarks.memory`: processor seconds of a training step and its peak memory against depth, on Cora.

GCNII that keeps what its layers make, GCNII that recomputes it (`memory=checkpoint`), and RevGCN, each with 64 channels
and in a process of its own, on one thread. Memory is the highest that the process reaches in three steps beyond what it
holds with graph, weights and a first, shallow step; seconds are those of the processor, of the fastest step. Takes some
minutes. Writes results/cost/memory.png and memory.csv beside it.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.rewiring import memory
from benchmarks.steps import our_step
from depthlab.config.compose import compose_settings
from depthlab.training.allocator import tune_allocator
from depthlab.training.experiment import experiment, read_data
from depthlab.training.fit import quiet_libraries
from depthlab.training.memory import estimate_memory

DEPTHS = (16, 64, 256, 1024)
FOLDER = Path("results/cost")
NETWORKS = {
    "GCNII full": ("model=gcnii", "memory=full"),
    "GCNII checkpoint": ("model=gcnii", "memory=checkpoint"),
    "RevGCN": ("model=revgcn", "memory=full", "norm=layer"),
}
STEPS = 3


def measure(name: str, depth: int) -> dict[str, str | float]:
    """Seconds, memory and its estimate (MB) of one network at one depth."""
    quiet_libraries()
    torch.set_num_threads(1)
    settings = compose_settings(["dataset=cora", "recipe=none", "hidden=64", f"depth={depth}", *NETWORKS[name]])
    data = read_data(settings)
    graph, times, before = data.graph, [], 0.0
    for layers, steps in ((2, 1), (depth, STEPS)):  # the first brings libraries and buffers with it
        model = experiment(replace(settings, depth=layers), data).module
        tune_allocator(model, graph.num_nodes, settings.memory)
        step = our_step(model, graph)
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
        for _ in range(steps):
            start = time.process_time()
            step()
            times.append(time.process_time() - start)
    peak = memory("VmHWM") - before
    estimate = estimate_memory(settings, graph, data.task(settings))[settings.memory] / 1e6
    return {"network": name, "depth": depth, "seconds": min(times[1:]), "peak_mb": peak, "estimate_mb": estimate}


def figure(cells: pd.DataFrame) -> Figure:
    """Memory against depth, measured (points) and estimated (lines), and seconds against depth."""
    made = Figure(figsize=(9.6, 3.8), layout="constrained")
    memories, seconds = made.subplots(1, 2)
    for name, group in cells.groupby("network", sort=False):
        (line,) = memories.plot(group["depth"], group["estimate_mb"], "--", linewidth=1)
        memories.plot(group["depth"], group["peak_mb"], "o", color=line.get_color(), label=name)
        seconds.plot(group["depth"], group["seconds"], "o-", color=line.get_color(), linewidth=1)
    memories.set(title="peak memory beyond graph and weights; dashed: the estimate", ylabel="MB")
    seconds.set(title="a training step, one thread", ylabel="seconds")
    for axes in (memories, seconds):
        axes.set(xlabel="layers", xscale="log", yscale="log")
        axes.set_xticks(sorted(cells["depth"].unique()), sorted(cells["depth"].unique()))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.title.set_size(10)
    memories.legend(frameon=False)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("depths", nargs="*", type=int, default=DEPTHS, help=f"{DEPTHS} if left out")
    depths = parser.parse_args().depths
    table, measured = Table("one step", *(f"{depth} layers" for depth in depths)), []
    console = Console()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in NETWORKS:
            texts = []
            for cell in pool.map(measure, [name] * len(depths), depths):
                text = f"{cell['seconds']:.2f} s, {cell['peak_mb']:,.0f} MB ({cell['estimate_mb']:,.0f})"
                console.print(f"{name}, {cell['depth']} layers: {text}")  # deep ones take a while
                measured.append(cell)
                texts.append(text)
            table.add_row(name, *texts)
    console.print(table)
    cells = pd.DataFrame(measured)
    FOLDER.mkdir(parents=True, exist_ok=True)
    cells.to_csv(FOLDER / "memory.csv", index=False)
    figure(cells).savefig(FOLDER / "memory.png", dpi=150)


if __name__ == "__main__":
    main()

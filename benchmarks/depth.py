"""`python -m benchmarks.depth`: is the time of a training step a straight line in depth? GCNII on Cora, 64 channels.

2 to 1024 layers on one thread with `memory=full`, the fastest of four to twenty steps; all in one process, the
depths in turns, since the speed of a machine drifts. The line is fitted to relative errors, so that 2 layers count as
much as 1024, and its error is that of predicting each depth from the others.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.fits import error, fit, left_out
from benchmarks.steps import our_step
from depthlab.config.compose import compose_settings
from depthlab.training.allocator import keep_freed_blocks
from depthlab.training.experiment import experiment, read_data
from depthlab.training.fit import quiet_libraries

DEPTHS = tuple(2**k for k in range(1, 11))


def fastest(depths: tuple[int, ...], rounds: int, budget: float) -> list[float]:
    """Seconds of the fastest step of each depth, of four at least; no more of those that took longer than `budget`."""
    settings = compose_settings(["dataset=cora", "model=gcnii", "hidden=64", "recipe=none", "memory=full"])
    data = read_data(settings)
    steps = [our_step(experiment(replace(settings, depth=depth), data).module, data.graph) for depth in depths]
    seconds: list[list[float]] = [[] for _ in depths]
    for turn in range(rounds):
        for step, times in zip(steps, seconds, strict=True):
            if turn > 1 and sum(times) > budget:
                continue
            for _ in range(2):  # the first finds the caches as another depth has left them
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
    return [min(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.depth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="turns, of two steps of each depth")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds after which a depth is not timed again")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_blocks()
    torch.set_num_threads(options.threads)
    measured = np.array(fastest(DEPTHS, options.rounds, options.budget))
    terms = np.stack([np.ones(len(DEPTHS)), np.array(DEPTHS, float)], 1)
    besides, layer = fit(terms, measured)
    table = Table("layers", "step ms", "line ms", "ratio", "ms a layer")
    for depth, seconds, fitted in zip(DEPTHS, measured, terms @ (besides, layer), strict=True):
        row = (
            f"{1000 * seconds:.2f}",
            f"{1000 * fitted:.2f}",
            f"{seconds / fitted:.2f}",
            f"{1000 * seconds / depth:.3f}",
        )
        table.add_row(str(depth), *row)
    console = Console()
    console.print(table)
    console.print(f"{1000 * besides:.2f} ms + {1000 * layer:.3f} ms a layer, {options.threads} threads")
    console.print(f"each predicted from the others: {error(left_out(terms, measured), measured)}")


if __name__ == "__main__":
    main()

"""`python -m benchmarks.rewiring`: seconds and memory of every rewiring, on Cora and on a graph of a million edges.

Each with its default settings and in a process of its own, on one thread. Memory is the highest that the process
reaches beyond what it holds with the graph loaded. What refuses the large graph says why. Takes some ten minutes.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_method
from rich.console import Console
from rich.table import Table
from torch import Tensor

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.yaml_files import read_mapping
from depthlab.data.prepare import load
from depthlab.folders import CONF
from depthlab.graph.rewiring.random_edges import random_edges

NODES, EDGES = 100_000, 1_000_000
GRAPHS = ("cora", "large")


def make_graph(name: str) -> tuple[Tensor, int]:
    """Edges and number of nodes: of Cora, or uniformly random ones."""
    if name == "cora":
        dataset, _ = load(compose_settings(["dataset=cora"]).dataset)
        return dataset.edge_index, dataset.num_nodes
    nothing = torch.empty(2, 0, dtype=torch.long)
    return random_edges(nothing, NODES, torch.Generator().manual_seed(0), num_edges=EDGES), NODES


def memory(what: str) -> float:
    """`VmRSS`, what this process holds, or `VmHWM`, the most it ever held, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[what].split()[0]) / 1000


def measure(name: str, graph: str) -> str:
    """`seconds s, memory MB, edges` of one rewiring, or why it refuses."""
    torch.set_num_threads(1)
    option: dict[str, Any] = read_mapping(CONF / "rewiring" / f"{name}.yaml")
    arguments = {key: value for key, value in option.items() if key not in ("_target_", "seed", "layers", "limits")}
    rewire, (edge_index, num_nodes) = get_method(option["_target_"]), make_graph(graph)
    generator = torch.Generator().manual_seed(option["seed"])
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
    before, start = memory("VmRSS"), time.perf_counter()
    try:
        after: Tensor = rewire(edge_index, num_nodes, generator, **arguments)
    except UserError as error:
        return f"refused: {error}"
    seconds = time.perf_counter() - start
    gained = (after.shape[1] - edge_index.shape[1]) // 2
    return f"{seconds:.2f} s, {memory('VmHWM') - before:,.0f} MB, {gained:+,} edges"


def main() -> None:
    names = sorted(path.stem for path in (CONF / "rewiring").glob("*.yaml") if path.stem != "none")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rewiring", description=__doc__)
    parser.add_argument("names", nargs="*", default=names, help=f"of {', '.join(names)}; all if left out")
    options = parser.parse_args()
    table = Table("rewiring", "Cora", f"{NODES:,} nodes, {EDGES:,} edges")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in options.names:
            table.add_row(name, *pool.map(measure, [name] * len(GRAPHS), GRAPHS))
    Console().print(table)


if __name__ == "__main__":
    main()

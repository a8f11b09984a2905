"""`python -m benchmarks.bottleneck`: seconds and memory of over-squashing's diagnostics, on Cora and a large graph.

The large one has 100,000 nodes and 1,000,000 edges, drawn at random. Each diagnostic runs in a process of its own, and
its memory is the growth of resident memory at its peak; what would take too long says so, with an estimate, at once.
"""

import argparse
import multiprocessing
import re
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import load
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.statistics import bottleneck_ratio
from depthlab.measures.curvature import balanced_forman
from depthlab.measures.laplacian import ConvergenceError
from depthlab.measures.registry import selectable
from depthlab.measures.resistance import effective_resistance, mean_resistance
from depthlab.measures.spectrum import largest_component_gap
from depthlab.ops import SparseFeatures
from depthlab.tasks.task import Classification
from depthlab.training.build import build_model
from depthlab.training.fit import quiet_libraries
from depthlab.training.module import TrainingModule
from depthlab.training.squashing import NODES, measures_by_hop

NODES_LARGE, EDGES_LARGE, FEATURES_LARGE = 100_000, 1_000_000, 100
HIDDEN, HOPS = 64, 4
SENSITIVITY = {"sensitivity, GCN depth 2": 2, "sensitivity, GCN depth 8": 8}
BUDGET = 300.0  # seconds


@cache
def graph(name: str) -> Graph:
    """Cora, or the large graph with random features."""
    if name == "Cora":
        dataset, _ = load(compose_settings(["dataset=cora"]).dataset)
        assert isinstance(dataset, Dataset)
        return dataset.graph("public")
    generator = torch.Generator().manual_seed(0)
    n, ends = NODES_LARGE, torch.randint(0, NODES_LARGE, (2, EDGES_LARGE + EDGES_LARGE // 1000), generator=generator)
    edges = coalesce(to_undirected(remove_self_loops(ends)[0], num_nodes=n))
    one_way = edges[:, edges[0] < edges[1]]
    one_way = one_way[:, torch.randperm(one_way.shape[1], generator=generator)[:EDGES_LARGE]]
    x = torch.randn(n, FEATURES_LARGE, generator=generator)
    y = torch.randint(0, 7, (n,), generator=generator)
    both = torch.cat([one_way, one_way.flip(0)], dim=1)
    return Graph(x, gcn_adjacency(both, n), y, *torch.arange(n).split([n // 2, n // 4, n // 4]))


def network(depth: int, graph: Graph) -> TrainingModule:
    """An untrained GCN, ready to be measured."""
    settings = compose_settings(["model=gcn", f"depth={depth}", "recipe=none", f"hidden={HIDDEN}"])
    return build_model(settings, graph, Classification("acc", ("acc",), Classification.count(graph.y))).eval()


def curves(depth: int, graph: Graph) -> object:
    """What a run records when it measures all that is by hop."""
    return measures_by_hop(network(depth, graph), graph, selectable("hop"))


def edges_and_nodes(graph: Graph) -> tuple[Tensor, int]:
    return graph.edge_index, graph.adjacency.num_nodes


DIAGNOSTICS: dict[str, Callable[[Graph], object]] = {
    "Balanced Forman curvature": lambda g: balanced_forman(*edges_and_nodes(g)),
    "spectral gap": lambda g: largest_component_gap(*edges_and_nodes(g)),
    "mean resistance": lambda g: mean_resistance(*edges_and_nodes(g)),
    "resistance of every edge": lambda g: effective_resistance(*edges_and_nodes(g), g.edge_index),
    f"bottleneck ratio, {HOPS} hops": lambda g: bottleneck_ratio(*edges_and_nodes(g), HIDDEN, HOPS),
    **{name: partial(curves, depth) for name, depth in SENSITIVITY.items()},
}


def refused(diagnostic: str, graph: Graph) -> str:
    """Why it is not run, with an estimate; empty if it is."""
    if diagnostic not in SENSITIVITY:
        return ""
    model, x = network(SENSITIVITY[diagnostic], graph), graph.x
    dense = x.to_dense() if isinstance(x, SparseFeatures) else x
    start = time.perf_counter()
    with torch.no_grad():
        channels = model.network(dense, graph.adjacency).shape[1]
    passes, seconds = NODES * channels, time.perf_counter() - start
    return f"some {2 * passes * seconds:,.0f} s: {passes} backward passes" if 2 * passes * seconds > BUDGET else ""


def measure(name: str, diagnostic: str) -> tuple[float, float, str]:
    """Seconds, growth of resident memory at its peak in GB, and a word on what could not be done."""
    quiet_libraries()
    on, call = graph(name), DIAGNOSTICS[diagnostic]
    if why := refused(diagnostic, on):
        return 0.0, 0.0, why
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is held now
    before, note, start = peak(), "", time.perf_counter()
    try:
        call(on)
    except ConvergenceError as error:
        note = str(error)
    return time.perf_counter() - start, peak() - before, note


def peak() -> float:
    """Largest resident memory of this process since the peak was last reset, GB (Linux)."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return 1024 * int(match[1]) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bottleneck", description=__doc__)
    parser.add_argument("--only", default="", help="diagnostics whose name contains this")
    parser.add_argument("--graph", choices=["Cora", "large"], action="append", help="both if left out")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for diagnostic in DIAGNOSTICS:
        for name in options.graph or ["Cora", "large"]:
            if options.only in diagnostic:
                with context.Pool(1) as pool:
                    seconds, grown, note = pool.apply(measure, (name, diagnostic))
                took = f"{seconds:7.2f} s  {grown:5.2f} GB" if seconds else "not run:"
                print(f"{diagnostic:26}  {name:5}  {took}  {note}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

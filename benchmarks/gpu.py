"""`python -m benchmarks.gpu`: training steps on a GPU beside PyG's layers on the same GPU, in under ten minutes.

First checks: on the GPU, losses and gradients without dropout are those of the processor, masks drop their share, and a
step repeats to the bit where it starts with the same seed. Then the time of a step, the median of ten alternating
rounds, and the memory that it takes at most: GCNII-64 and GCN-2 on Cora, and GCNII-16 on a random graph of a million
nodes and ten million edges. Without the files of Cora in data/planetoid, a random graph of its size takes its place.

It needs Linux, PyTorch with CUDA, PyTorch Geometric, SciPy and filelock, and no other part of this project's
environment: run it in a checkout, with `PYTHONPATH=src`.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers import operator_of, peer_of
from depthlab.config.errors import UserError
from depthlab.data.planetoid import PARTS, read_planetoid
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.execution import run
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.network import Network
from depthlab.ops import SparseFeatures

CORA = (2708, 5278, 1433, 7)  # nodes, edges, features, classes
LARGE = (1_000_000, 10_000_000, 64, 8)
PAPER = {"alpha": 0.1, "theta": 0.5}
ROUNDS, WARM_UP = 10, 3
Step = Callable[[], None]


def device() -> torch.device:
    """The GPU.

    Raises:
        UserError: PyTorch finds none.
    """
    if not torch.cuda.is_available():
        raise UserError(
            f"there is no GPU here that PyTorch {torch.__version__} can use: run this on a machine with an NVIDIA GPU"
            " and a build of PyTorch for CUDA"
        )
    return torch.device("cuda")


def graph_of(x: Tensor | SparseFeatures, edge_index: Tensor, y: Tensor) -> Graph:
    """A graph that is trained on all of its nodes."""
    nodes = torch.arange(len(y), device=y.device)
    return Graph(x, gcn_adjacency(edge_index, len(y)), y, nodes, nodes, nodes)


def random_graph(size: tuple[int, int, int, int], where: torch.device) -> Graph:
    """A random graph of so many nodes, undirected edges, dense features and classes."""
    nodes, edges, features, classes = size
    generator = torch.Generator(where).manual_seed(0)
    ends = torch.randint(0, nodes, (2, edges), device=where, generator=generator)
    x = torch.rand(nodes, features, device=where, generator=generator)
    y = torch.randint(0, classes, (nodes,), device=where, generator=generator)
    return graph_of(x, torch.cat([ends, ends.flip(0)], 1), y)


def cora(folder: Path) -> tuple[str, Graph]:
    """Cora on the processor with sparse features, or a random graph of its size; and what it is."""
    files = [folder / "planetoid" / f"ind.cora.{part}" for part in PARTS]
    if all(file.is_file() for file in files):
        data = read_planetoid(files)
        name, graph = "Cora", graph_of(data.x, data.edge_index, data.y)
    else:
        name, graph = "random, of Cora's size", random_graph(CORA, torch.device("cpu"))
        assert isinstance(graph.x, Tensor)
        keep = torch.rand(graph.x.shape, generator=torch.Generator().manual_seed(1)) < 0.0127
        graph = replace(graph, x=graph.x * keep)
    sparse = graph.x.to_sparse_csr()  # type: ignore[union-attr]
    arrays = (sparse.crow_indices(), sparse.col_indices(), sparse.values())
    return name, replace(graph, x=SparseFeatures.from_csr(*arrays, tuple(sparse.shape)))


def network_of(name: str, graph: Graph, depth: int, hidden: int, dropout: float) -> Network:
    """Our network, in training, on the device of the graph."""
    kind: Any = GCN if name == "gcn" else GCNII
    more: dict[str, Any] = PAPER if name == "gcnii" else {}
    torch.manual_seed(0)
    made = kind(graph.x.shape[1], int(graph.y.max()) + 1, depth=depth, hidden=hidden, dropout=dropout, **more)
    return made.to(graph.y.device).train()


def loss_of(network: Network, graph: Graph, step: int) -> Tensor:
    """The loss of a training step."""
    network.masks.restart(step)
    return F.cross_entropy(run(network, graph.x, graph.layers), graph.y)


def checks(graph: Graph, where: torch.device) -> dict[str, bool]:
    """What has to hold on the GPU."""
    held, there = {}, graph.to(where)
    for name, depth in (("gcn", 2), ("gcnii", 8)):
        results = []
        for one in (graph, there):
            network = network_of(name, one, depth, 64, dropout=0.0)
            network.load_state_dict(network_of(name, graph, depth, 64, dropout=0.0).state_dict())
            loss = loss_of(network, one, 0)
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            results.append(torch.cat([part.flatten().cpu() for part in (loss.detach(), *gradients)]))
        error = float((results[0] - results[1]).norm() / results[0].norm())
        held[f"{name}, {depth} layers: loss and gradients as on the processor, {error:.1e}"] = error < 1e-4
        network = network_of(name, there, depth, 64, dropout=0.5)
        losses = [loss_of(network, there, step).item() for step in (1, 2, 1)]
        held[f"{name}: a step repeats, another step has other masks"] = losses[0] == losses[2] != losses[1]
    ones = torch.ones(4096, 256, device=where)
    share = float((network.dropout(ones) == 0).double().mean())
    held[f"masks drop {100 * share:.2f} % of 50"] = abs(share - 0.5) < 5 * 0.5 / math.sqrt(ones.numel())
    return held


def step_of(parameters: list[nn.Parameter], loss: Callable[[], Tensor]) -> Step:
    """One step of Adam."""
    optimizer = torch.optim.Adam(parameters, lr=0.01, weight_decay=5e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def sides(name: str, graph: Graph, depth: int, hidden: int) -> dict[str, Callable[[], Step]]:
    """Ours and PyG's step of a network."""

    def ours() -> Step:
        network = network_of(name, graph, depth, hidden, dropout=0.6)
        return step_of(list(network.parameters()), lambda: loss_of(network, graph, 0))

    def pyg() -> Step:
        sizes = (graph.x.shape[1], int(graph.y.max()) + 1, depth, hidden, 0.6)
        peer = peer_of(name, sizes, PAPER).to(graph.y.device).train()
        x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
        operator = operator_of(name, graph)
        return step_of(list(peer.parameters()), lambda: F.cross_entropy(peer(x, *operator), graph.y))

    return {"depthlab": ours, "PyG": pyg}


def measured(makers: dict[str, Callable[[], Step]]) -> dict[str, tuple[float, float]]:
    """Median seconds of a step of each side in alternating rounds, and the bytes that it takes at most."""
    found: dict[str, tuple[float, float]] = {}
    steps = {name: make() for name, make in makers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP + ROUNDS):
        for name, step in steps.items():
            torch.cuda.synchronize()
            before, start = torch.cuda.memory_allocated(), time.perf_counter()
            torch.cuda.reset_peak_memory_stats()
            step()
            torch.cuda.synchronize()
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
            found[name] = (statistics.median(seconds[name] or [0.0]), torch.cuda.max_memory_allocated() - before)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the raw files")
    options = parser.parse_args()
    where = device()
    print(f"{torch.cuda.get_device_name(where)}, PyTorch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    name, small = cora(options.data)
    held = checks(small, where)
    for what, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}: {what}")
    small = small.to(where)
    for network, depth, hidden, on, what in (
        ("gcnii", 64, 64, small, name), ("gcn", 2, 64, small, name), ("gcnii", 16, 64, None, "a million nodes"),
    ):  # fmt: skip
        graph = on or random_graph(LARGE, where)
        found = measured(sides(network, graph, depth, hidden))
        parts = [f"{side} {1000 * seconds:.2f} ms, {size / 1e6:,.0f} MB" for side, (seconds, size) in found.items()]
        ratio = found["PyG"][0] / found["depthlab"][0]
        print(
            f"{network}, {depth} layers of {hidden}, {what}: {'; '.join(parts)}; {ratio:.1f} times as fast", flush=True
        )
    if not all(held.values()):
        raise UserError("on this GPU not all of the above holds: report it with these lines")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

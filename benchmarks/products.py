"""`python -m benchmarks.products`: the sparse product P H, PyTorch's own beside that of `src.ops`.

PyTorch multiplies a CSR matrix by MKL, which `src.ops.product` does not ask in float32: it takes the kernel for
embeddings. Cora and a random graph of 100,000 nodes with 20 neighbours each; each pair alternates in one process, the
states being another tensor at every call, as they are from layer to layer. Time nothing else meanwhile.
"""

import argparse
from collections.abc import Callable
from itertools import cycle

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.timing import alternate
from src.data.prepare import load
from src.data.rewire import make_batches
from src.graph.adjacency import gcn_adjacency
from src.ops import product
from src.settings import compose_settings
from src.train.fit import quiet_libraries
from src.train.memory import keep_freed_blocks

CHANNELS = (7, 16, 64, 128, 256)
STATES = 8  # of Cora, 64 channels: more than a core's own cache holds


def cora() -> Tensor:
    """P of Cora."""
    settings = compose_settings(["dataset=cora"])
    return make_batches(settings, load(settings["dataset"])[0]).probe.adjacency.matrix


def large() -> Tensor:
    """P of a random graph."""
    edges = torch.randint(0, 100_000, (2, 1_000_000), generator=torch.Generator().manual_seed(0))
    return gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), 100_000).matrix


def calls(matrix: Tensor, channels: int) -> dict[str, Callable[[], Tensor]]:
    """Both products, of the next of some states at every call."""
    states = [torch.randn(matrix.shape[1], channels) for _ in range(STATES)]
    theirs, ours = cycle(states), cycle(states)
    return {"PyTorch": lambda: matrix @ next(theirs), "ours": lambda: product(matrix, next(ours))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="timed repetitions; a tenth of it on the large graph")
    rounds = parser.parse_args().rounds
    quiet_libraries()
    keep_freed_blocks()
    table = Table("graph", "channels", "threads", "PyTorch ms", "ours ms", "faster")
    for name, matrix, count in (("Cora", cora(), rounds), ("large", large(), max(2, rounds // 10))):
        for channels in CHANNELS:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                took = alternate(calls(matrix, channels), count)
                ms = (f"{1000 * took[side]:.3g}" for side in ("PyTorch", "ours"))
                table.add_row(name, str(channels), str(threads), *ms, f"{took['PyTorch'] / took['ours']:.1f} times")
    Console().print(table)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.products`: sparse products `0.9 P H + R`, PyTorch's own beside that of `depthlab.ops`.

PyTorch multiplies a CSR matrix by MKL, `addmm`, which `depthlab.ops.product` does not ask in float32: it takes the
kernel for embeddings. With a residual R, as in the forward pass of GCNII, and without one, as in its backward pass.
Cora and a random graph of 100,000 nodes with 20 neighbours each; each pair alternates in one process, the states being
another tensor at every call, as they are from layer to layer. Time nothing else meanwhile.
"""

import argparse
from collections.abc import Callable
from itertools import cycle

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.timing import alternate
from depthlab.config.compose import compose_settings
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.ops import product
from depthlab.training.allocator import keep_freed_blocks
from depthlab.training.fit import quiet_libraries

CHANNELS = (7, 16, 64, 128, 256)
STATES = 8  # of Cora, 64 channels: more than a core's own cache holds


def cora() -> Tensor:
    """P of Cora."""
    settings = compose_settings(["dataset=cora"])
    return make_batches(settings, load(settings.dataset)[0]).probe.adjacency.matrix


def large() -> Tensor:
    """P of a random graph."""
    edges = torch.randint(0, 100_000, (2, 1_000_000), generator=torch.Generator().manual_seed(0))
    return gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), 100_000).matrix


def calls(matrix: Tensor, channels: int, residual: bool) -> dict[str, Callable[[], Tensor]]:
    """Both products, of the next of some states at every call."""
    nodes = matrix.shape[0]
    states = [torch.randn(nodes, channels) for _ in range(STATES)]
    added = torch.randn(nodes, channels) if residual else None
    theirs, ours = cycle(states), cycle(states)

    def addmm() -> Tensor:
        if added is not None:
            return torch.addmm(added, matrix, next(theirs), alpha=0.9)
        out = torch.empty(nodes, channels)
        return torch.addmm(out, matrix, next(theirs), beta=0.0, alpha=0.9, out=out)

    return {"PyTorch": addmm, "ours": lambda: product(matrix, next(ours), 0.9, added)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="timed repetitions; a tenth of it on the large graph")
    rounds = parser.parse_args().rounds
    quiet_libraries()
    keep_freed_blocks()
    table = Table("graph", "channels", "threads", "0.9 P H, ms", "ours", "faster", "0.9 P H + R, ms", "ours", "faster")
    for name, matrix, count in (("Cora", cora(), rounds), ("large", large(), max(2, rounds // 10))):
        for channels in CHANNELS:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                row = []
                for residual in (False, True):
                    took = alternate(calls(matrix, channels, residual), count)
                    row += [f"{1000 * took[side]:.3g}" for side in ("PyTorch", "ours")]
                    row.append(f"{took['PyTorch'] / took['ours']:.1f} times")
                table.add_row(name, str(channels), str(threads), *row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

"""Time to make the mini-batches of one epoch, beside PyG's DataLoader over the same graphs.

    python -m benchmarks.batches

PyG's side collates alone: the normalisation of each batch, which ours has in it, its layers make afterwards.
"""

import argparse
from collections import deque

import torch
from rich.console import Console
from rich.table import Table
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from benchmarks.timing import alternate
from depthlab.config.compose import compose_settings
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches
from depthlab.graph.batches import GraphBatches
from depthlab.ops import SparseFeatures
from depthlab.training.fit import quiet_libraries

TASKS = {
    "ring of 10, 128 a batch": ["dataset=ring_transfer"],
    "tree of radius 3, 64 a batch": ["dataset=tree_neighbors_match"],
    "tree of radius 5, 1,024 a batch": [
        "dataset=tree_neighbors_match",
        "dataset.radius=5",
        "dataset.batch_size=1024",
    ],
}


def single(batches: GraphBatches) -> list[Data]:
    """The training graphs one by one, with dense features as PyG's layers take them."""
    graphs = []
    for number in batches.parts["train"]:
        x = batches.graph(number[None], "train").x
        dense = x.to_dense() if isinstance(x, SparseFeatures) else x
        graphs.append(Data(x=dense, edge_index=batches.edge_index, y=batches.y[number]))
    return graphs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed repetitions of each epoch")
    options = parser.parse_args()
    quiet_libraries()
    table = Table("batches of one epoch", "ours ms", "PyG ms", "ratio")
    for name, typed in TASKS.items():
        settings = compose_settings([*typed, "recipe=none"])
        batches = make_batches(settings, load(settings.dataset)[0])
        assert isinstance(batches, GraphBatches)
        loader = DataLoader(single(batches), batch_size=batches.batch_size, shuffle=True)
        sides = {"ours": lambda b=batches: deque(b, 0), "pyg": lambda b=loader: deque(b, 0)}
        took = alternate(sides, options.rounds, warm_up=1)
        table.add_row(name, *(f"{1000 * took[side]:.1f}" for side in sides), f"{took['pyg'] / took['ours']:.1f}")
    Console().print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} alternating rounds"
    )
    Console().print(table)


if __name__ == "__main__":
    main()

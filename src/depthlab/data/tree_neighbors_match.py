"""Tree-NeighborsMatch: one state has to store the values of exponentially many leaves."""

import itertools
import math
from pathlib import Path

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.graph_set import GraphSet
from depthlab.data.splits import fraction_masks

LISTED = 8  # largest number of leaves for which all permutations are listed, to draw distinct ones
SMALLEST = 10  # number of permutations: with fewer, a part of the split is empty


def make_tree_neighbors_match(
    files: list[Path], radius: int = 3, graphs: int = 32000, permutations: int = 1000, keys: str = "ordered",
    seed: int = 0,
) -> GraphSet:  # fmt: skip
    r"""Tree-NeighborsMatch of Alon & Yahav 2021, https://arxiv.org/abs/2006.05205, as in tech-srl/bottleneck.

    A complete binary tree of depth r, with edges from child to parent. Each of the :math:`n = 2^r` leaves has a key
    and a value, the root a key; the class is the value of the leaf with the root's key, r hops away. Features are two
    one-hot vectors side by side, key and value, n columns each; the root has no value, nodes between have neither.

    Permutations of the values over the leaves are drawn, and each gives one graph per key:
    :math:`\min(\mathrm{permutations}, n!, \lfloor \mathrm{graphs} / n \rfloor)` times n graphs, each class equally
    often. With the defaults these are the authors' 96, 8,000 and 16,000 graphs for r = 2, 3, 4, and 32,000 beyond. One
    split, stratified: 80 % training as in the paper, which reports training accuracy; its other 20 % are halved into
    validation and test.

    Args:
        files: none; everything is generated from `seed`.
        radius: r.
        graphs: maximum number of graphs.
        permutations: maximum number of permutations; distinct for r <= 3.
        keys: `ordered`, the released code: leaf i always has key i. `shuffled`: keys are also permuted in every graph,
            so that the key does not identify the leaf.
        seed: seed of permutations and split.

    Raises:
        UserError: there are too few graphs for the split.
    """
    leaves, nodes = 2**radius, 2 ** (radius + 1) - 1
    count = min(permutations, math.factorial(leaves), graphs // leaves)
    if count < SMALLEST:
        raise UserError(
            f"dataset.radius={radius} needs dataset.graphs={SMALLEST * leaves} and dataset.permutations={SMALLEST} or"
            f" more, got {graphs} and {permutations}"
        )
    generator = torch.Generator().manual_seed(seed)
    values = _permutations(leaves, count, generator)
    held = torch.arange(leaves).expand(count, leaves)
    if keys == "shuffled":
        held = torch.rand(count, leaves, generator=generator).argsort(1)
    x = torch.full((count, leaves, nodes, 2), -1, dtype=torch.int16)
    x[:, :, 0, 0] = torch.arange(leaves)  # the root has each key once
    x[:, :, nodes - leaves :, 0] = held[:, None].short()
    x[:, :, nodes - leaves :, 1] = (leaves + values[:, None]).short()
    y = values.gather(1, held.argsort(1)).flatten()
    children = torch.arange(1, nodes)
    edge_index = torch.stack([children, (children - 1) // 2])
    masks = fraction_masks(y, count=1, train=0.8, val=0.1, seed=seed)
    return GraphSet(x.flatten(0, 1), 2 * leaves, edge_index, 0, radius, y, *masks)


def _permutations(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Permutations of 0..size-1, (count, size); distinct if there are few enough to list."""
    if size > LISTED:
        return torch.rand(count, size, generator=generator).argsort(1)
    every = torch.tensor(list(itertools.permutations(range(size))))
    return every[torch.randperm(len(every), generator=generator)[:count]]

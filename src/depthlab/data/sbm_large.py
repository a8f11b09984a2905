"""A generated stochastic block model with up to millions of nodes, to test large graphs without a download."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.splits import fraction_masks

Draw = Callable[[int], tuple[Tensor, Tensor]]


def make_sbm_large(
    files: list[Path],
    nodes: int = 100_000,
    degree: float = 20.0,
    homophily: float = 0.8,
    signal: float = 1.0,
    features: int = 64,
    classes: int = 10,
    block_size: int = 200,
    seed: int = 0,
) -> Dataset:
    r"""A contextual stochastic block model (Deshpande et al. 2018, https://arxiv.org/abs/1807.09596) of many blocks.

    Of :math:`n d / 2` distinct edges a fraction h joins two uniformly drawn nodes of one block, the others two nodes of
    different classes. Every class has the same number of blocks. Blocks give the graph communities, as in real graphs
    of this size; without them all cuts through a class would be equally good. Features are
    :math:`x_i = s\, u_{y_i} + z_i`, with a random unit vector u per class and :math:`z_i \sim N(0, I/f)`. Ten
    stratified splits 50/25/25. No array has size n x n, and no loop runs over nodes.

    Args:
        files: none; everything is generated from `seed`.
        nodes, degree, homophily, signal, features, classes: n, d, h, s, f and the number of classes.
        block_size: nodes of a block, on average.
        seed: seed of the graph, the features and the splits.

    Raises:
        UserError: there are too few nodes for the classes, or for the degree in blocks of this size.
    """
    blocks = classes * max(1, round(nodes / (block_size * classes)))
    y, per_block = torch.arange(nodes) % blocks % classes, nodes / blocks
    if nodes < 4 * classes:
        raise UserError(f"dataset.nodes must be at least 4 for each of the {classes} classes, got {nodes}")
    if degree * homophily > (per_block - 1) / 2:  # with more edges, drawing distinct pairs takes too long
        raise UserError(
            f"dataset.degree={degree} with homophily {homophily} needs blocks of more nodes than {per_block:.0f}:"
            " make dataset.block_size and dataset.nodes larger"
        )
    if degree * (1 - homophily) > nodes / 4:
        raise UserError(f"dataset.degree={degree} is too much for {nodes} nodes: make dataset.nodes larger")
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-nodes // blocks)

    def within(count: int) -> tuple[Tensor, Tensor]:
        source, member = _numbers(nodes, count, generator), _numbers(rounds, count, generator)
        target = source % blocks + blocks * member
        valid = (target < nodes) & (target != source)
        return source[valid], target[valid]

    def between(count: int) -> tuple[Tensor, Tensor]:
        source, target = _numbers(nodes, count, generator), _numbers(nodes, count, generator)
        valid = y[source] != y[target]
        return source[valid], target[valid]

    edges = nodes * degree / 2
    inside, outside = round(edges * homophily), round(edges * (1 - homophily))
    keys = torch.cat([_distinct(within, inside, nodes, generator), _distinct(between, outside, nodes, generator)])
    centers = F.normalize(torch.randn(classes, features, generator=generator), dim=1)
    x = torch.randn(nodes, features, generator=generator).div_(features**0.5).add_(signal * centers[y])
    masks = fraction_masks(y, count=10, train=0.5, val=0.25, seed=seed)
    return Dataset(x, torch.stack([keys // nodes, keys % nodes]), y, *masks)


def _numbers(limit: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(limit, (count,), generator=generator)


def _distinct(draw: Draw, count: int, nodes: int, generator: torch.Generator) -> Tensor:
    """`count` distinct pairs as keys low * nodes + high, uniform if the pairs of `draw` are uniform."""
    keys = torch.empty(0, dtype=torch.long)
    while keys.numel() < count:
        source, target = draw(count - keys.numel() + count // 4 + 64)
        keys = torch.cat([keys, torch.minimum(source, target) * nodes + torch.maximum(source, target)]).unique()
    surplus = torch.randperm(keys.numel(), generator=generator)[count:]
    chosen = torch.ones(keys.numel(), dtype=torch.bool)
    chosen[surplus] = False
    return keys[chosen]

"""A contextual stochastic block model with homophily, degree and feature signal as parameters."""

from pathlib import Path

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.splits import fraction_masks


def make_csbm(
    files: list[Path],
    nodes: int = 1000,
    degree: float = 10.0,
    homophily: float = 0.8,
    signal: float = 1.0,
    features: int = 64,
    classes: int = 2,
    seed: int = 0,
) -> Dataset:
    r"""Contextual SBM (Deshpande et al. 2018, https://arxiv.org/abs/1807.09596) with balanced classes.

    A pair of nodes is joined with probability :math:`p_{in} = d h / (n/c - 1)` inside a class and
    :math:`p_{out} = d (1-h) / (n - n/c)` between classes, so the mean degree is d and a fraction h of the
    edges joins nodes of one class. Features are :math:`x_i = s\, u_{y_i} + z_i`, with a random unit vector u per class
    and :math:`z_i \sim N(0, I/f)`. Ten stratified splits 50/25/25.

    Args:
        files: none; everything is generated from `seed`.
        nodes, degree, homophily, signal, features, classes: n, d, h, s, f and c above.
        seed: of the graph, the features and the splits.

    Raises:
        UserError: there are too few nodes for the classes or for the degree.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % classes
    per_class = nodes / classes
    if nodes < 4 * classes:
        raise UserError(f"dataset.nodes must be at least 4 for each of the {classes} classes, got {nodes}")
    inside, outside = degree * homophily / (per_class - 1), degree * (1 - homophily) / (nodes - per_class)
    if max(inside, outside) > 1:
        raise UserError(f"dataset.degree={degree} needs more pairs than {nodes} nodes in {classes} classes have")
    within = _pairs(y, True, inside, generator)
    between = _pairs(y, False, outside, generator)
    centers = torch.nn.functional.normalize(torch.randn(classes, features, generator=generator), dim=1)
    x = signal * centers[y] + torch.randn(nodes, features, generator=generator) / features**0.5
    masks = fraction_masks(y, count=10, train=0.5, val=0.25, seed=seed)
    return Dataset(x, torch.cat([within, between], dim=1), y, *masks)


def _pairs(y: Tensor, same: bool, probability: float, generator: torch.Generator) -> Tensor:
    """Distinct pairs of nodes, all of equal or all of different class, each present with the given probability.

    A binomial number of pairs is drawn uniformly; if it is more than half of all pairs, from the list of all pairs.
    """
    nodes, sizes = y.numel(), torch.bincount(y)
    equal = int((sizes * (sizes - 1)).sum()) // 2
    available = equal if same else nodes * (nodes - 1) // 2 - equal
    chance = torch.tensor(probability)
    count = int(torch.binomial(torch.tensor(float(available)), chance, generator=generator))
    if 2 * count > available:
        low, high = torch.triu_indices(nodes, nodes, 1)
        keys = (low * nodes + high)[(y[low] == y[high]) == same]
    else:
        keys = torch.empty(0, dtype=torch.long)
    while keys.numel() < count:
        ends = torch.randint(nodes, (2, 4 * count + 64), generator=generator)
        low, high = ends.min(0).values, ends.max(0).values
        fits = (low != high) & ((y[low] == y[high]) == same)
        keys = torch.cat([keys, (low * nodes + high)[fits]]).unique()
    keys = keys[torch.randperm(keys.numel(), generator=generator)[:count]]
    return torch.stack([keys // nodes, keys % nodes])

"""New edges between random nodes: what a rewiring has to beat at the same budget."""

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.edges import both_directions, edge_keys, free_pairs


def random_edges(edge_index: Tensor, num_nodes: int, generator: torch.Generator, *, num_edges: int) -> Tensor:
    r"""Add a uniformly random set of `num_edges` pairs that are not joined yet.

    Pairs u < v are numbered v (v - 1) / 2 + u, so that the r-th pair that is *not* an edge is found by bisection: no
    draw is ever rejected, however dense the graph. Time and memory O(m log m), of the complement nothing is stored.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: draws the pairs.
        num_edges: how many undirected edges to add.

    Returns:
        (2, m + 2 num_edges), of the same form.

    Raises:
        UserError: fewer pairs than that are free.
    """
    keys = edge_keys(edge_index, num_nodes)
    free = free_pairs(num_nodes, keys.numel())
    if num_edges > free:
        raise UserError(f"only {free} pairs of nodes are not joined yet: use rewiring.num_edges={free} or less")
    low, high = keys // num_nodes, keys % num_nodes
    taken = (high * (high - 1) // 2 + low).sort().values
    rank = _distinct(free, num_edges, generator)
    free_before = taken - torch.arange(taken.numel())  # how many free pairs come before each edge
    number = rank + torch.searchsorted(free_before, rank, right=True)
    high = ((1 + (1 + 8 * number.double()).sqrt()) / 2).long()
    high -= (high * (high - 1) // 2 > number).long()  # the root is rounded
    high += (high * (high + 1) // 2 <= number).long()
    low = number - high * (high - 1) // 2
    return both_directions(torch.cat([keys, low * num_nodes + high]), num_nodes)


def _distinct(available: int, count: int, generator: torch.Generator) -> Tensor:
    """A uniformly random set of `count` numbers below `available`, int64."""
    if 2 * count > available:
        return torch.randperm(available, generator=generator)[:count]
    numbers = torch.empty(0, dtype=torch.long)
    while numbers.numel() < count:
        numbers = torch.cat([numbers, torch.randint(available, (2 * count,), generator=generator)]).unique()
    return numbers[torch.randperm(numbers.numel(), generator=generator)[:count]]

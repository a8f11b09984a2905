"""Small graphs: of known shapes, and random ones."""

import torch
from torch import Tensor


def undirected(*pairs: tuple[int, int]) -> Tensor:
    one_way = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return torch.cat([one_way, one_way.flip(0)], dim=1)


def path(n: int) -> Tensor:
    return undirected(*((i, i + 1) for i in range(n - 1)))


def cycle(n: int) -> Tensor:
    return undirected(*((i, (i + 1) % n) for i in range(n)))


def clique(n: int) -> Tensor:
    return undirected(*((i, j) for i in range(n) for j in range(i)))


def star(leaves: int) -> Tensor:
    return undirected(*((0, i) for i in range(1, leaves + 1)))


def binary_tree(nodes: int) -> Tensor:
    return undirected(*((i, (i - 1) // 2) for i in range(1, nodes)))


def barbell(n: int) -> Tensor:
    """Two cliques of n nodes, joined by the edge from n - 1 to n, its first column."""
    return torch.cat([undirected((n - 1, n)), clique(n), clique(n) + n], dim=1)


def random_graph(n: int, p: float, seed: int = 0) -> Tensor:
    """Every pair with probability p, columns in random order."""
    generator = torch.Generator().manual_seed(seed)
    upper = (torch.rand(n, n, generator=generator) < p).triu(1).nonzero().T
    edge_index = torch.cat([upper, upper.flip(0)], dim=1)
    return edge_index[:, torch.randperm(edge_index.shape[1], generator=generator)]

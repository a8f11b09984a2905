"""Undirected edges as sorted keys: what every rewiring starts from and hands back."""

import torch
from torch import Tensor


def edge_keys(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One number low * n + high for every undirected edge, low < high, sorted, int64 (m/2,)."""
    low, high = edge_index.min(0).values, edge_index.max(0).values
    return (low * num_nodes + high).unique()


def both_directions(keys: Tensor, num_nodes: int) -> Tensor:
    """The edges of distinct keys in both directions, sorted by source, then target, (2, m)."""
    low, high = keys // num_nodes, keys % num_nodes
    directed = torch.cat([keys, high * num_nodes + low]).sort().values
    return torch.stack([directed // num_nodes, directed % num_nodes])


def free_pairs(num_nodes: int, num_edges: int) -> int:
    """How many pairs of n nodes are not joined yet by that many undirected edges."""
    return num_nodes * (num_nodes - 1) // 2 - num_edges

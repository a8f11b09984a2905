"""A virtual node (Gilmer et al. 2017, https://arxiv.org/abs/1704.01212): two hops from anywhere to anywhere."""

import torch
from torch import Tensor


def virtual_node(edge_index: Tensor, num_nodes: int, generator: torch.Generator) -> Tensor:
    """Join one new node, number n, to all others.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: not used, nothing is random.

    Returns:
        (2, m + 2n), of the same form on n + 1 nodes.
    """
    nodes = torch.arange(num_nodes)
    new = torch.full_like(nodes, num_nodes)
    joined = torch.cat([edge_index, torch.stack([nodes, new]), torch.stack([new, nodes])], dim=1)
    return joined[:, (joined[0] * (num_nodes + 1) + joined[1]).argsort()]

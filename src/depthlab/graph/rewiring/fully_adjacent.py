"""The complete graph: every node hears every other (+FA, Alon & Yahav 2021, https://arxiv.org/abs/2006.05205)."""

import torch
from torch import Tensor

from depthlab.config.errors import UserError

MAX_NODES = 5000
BYTES = 100  # of an entry, while the edges are normalised: indices, keys, order, pair and value


def fully_adjacent(edge_index: Tensor, num_nodes: int, generator: torch.Generator) -> Tensor:
    """Join all pairs of nodes. The paper does so in the last layer only.

    Args:
        edge_index: (2, m), not used: the result depends on n alone.
        num_nodes: n.
        generator: not used, nothing is random.

    Returns:
        (2, n (n - 1)), both directions of every pair, sorted, no loops.

    Raises:
        UserError: more than 5,000 nodes, whose entries would take gigabytes.
    """
    if num_nodes > MAX_NODES:
        entries = num_nodes * (num_nodes - 1)
        raise UserError(
            f"rewiring=fully_adjacent joins all {num_nodes:,} nodes: {entries:.1e} entries, some"
            f" {entries * BYTES / 1e9:,.0f} GB; use rewiring=virtual_node, or a graph of at most {MAX_NODES:,} nodes"
        )
    nodes = torch.arange(num_nodes)
    source, target = nodes.repeat_interleave(num_nodes), nodes.repeat(num_nodes)
    return torch.stack([source, target])[:, source != target]

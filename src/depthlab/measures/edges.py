"""Check that edges are undirected, which most measures require."""

import weakref
from typing import Any

import torch
from torch import Tensor

_passed: list[Any] = [None, None]  # the last valid edges as a weak reference, and their (version, num_nodes)


def check_undirected(edge_index: Tensor, num_nodes: int) -> None:
    """Check that edges hold both directions of every undirected edge, once each, without self-loops.

    The last valid edges are not checked again, since many states are measured over the same edges.

    Args:
        edge_index: (2, m), in any order.
        num_nodes: n.

    Raises:
        ValueError: they do not; the message counts the errors and names the functions that repair them.
    """
    state = None if edge_index.is_inference() else (edge_index._version, num_nodes)  # incremented by in-place changes
    if state and _passed[0] and _passed[0]() is edge_index and _passed[1] == state:
        return
    if edge_index.numel() and not (edge_index.min() >= 0 and edge_index.max() < num_nodes):
        raise ValueError(f"edge_index must name nodes from 0 to {num_nodes - 1}")
    row, col = edge_index
    keys = (row * num_nodes + col).sort().values
    back = (col * num_nodes + row).sort().values
    loops = int((row == col).sum())
    repeated = int((keys[1:] == keys[:-1]).sum())
    alone = 0 if torch.equal(keys, back) else int((~torch.isin(keys, back)).sum())
    if loops or repeated or alone or not torch.equal(keys, back):
        raise ValueError(
            "edge_index must hold both directions of every undirected edge once, and no self-loops; it has"
            f" {alone:,} edges without their reverse, {loops:,} self-loops and {repeated:,} repetitions:"
            " use remove_self_loops and to_undirected of torch_geometric.utils"
        )
    _passed[:] = weakref.ref(edge_index), state

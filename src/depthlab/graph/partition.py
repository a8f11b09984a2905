"""Partition a graph into parts with few edges between them."""

import numpy as np
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.neighbours import Neighbours


def metis(neighbours: Neighbours, parts: int) -> Tensor:
    """The part of every node, int64 (n,), by METIS (Karypis & Kumar 1998): parts of about equal size, few cut edges.

    The result is deterministic.

    Args:
        neighbours: of an undirected graph.
        parts: number of parts, 1 to n; on very small graphs METIS leaves some empty.

    Raises:
        UserError: pymetis is not installed, or there are fewer nodes than parts.
    """
    if parts > neighbours.num_nodes:
        raise UserError(f"loader.parts must be at most the {neighbours.num_nodes} nodes of the graph, got {parts}")
    try:
        import pymetis
    except ImportError:
        raise UserError(
            "loader=cluster needs pymetis: pip install 'depthlab[cluster]', or leave loader=cluster out"
        ) from None
    rows = pymetis.CSRAdjacency(neighbours.crow.numpy(), neighbours.col.numpy())
    return torch.from_numpy(np.asarray(pymetis.part_graph(parts, rows).vertex_part, dtype=np.int64))

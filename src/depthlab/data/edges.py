"""Process the edges of a file: make them undirected unless the direction is kept, sort them, remove duplicates."""

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection

Raw = TypeVar("Raw", bound=Dataset | GraphCollection)


def with_edges(raw: Raw, directed: bool = False) -> Raw:
    """The dataset with sorted, unique edges and no self-loops.

    The weights of repeated edges are added. An undirected edge gets the mean weight of its listed directions. Edges of
    weight 0 are removed. `notes` describes the changes.

    Args:
        raw: dataset with unprocessed edges; an undirected edge is listed in one direction or both. Weights are >= 0.
        directed: keep the direction of edges; otherwise every edge gets its reverse.

    Raises:
        UserError: all edges have weight 0.
    """
    from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

    nodes, notes = raw.num_nodes, []
    edges, weight = remove_self_loops(raw.edge_index, raw.edge_weight)
    if weight is not None:
        edges, weight = _positive(*coalesce(edges, weight, nodes, reduce="add"))
    if directed:
        notes += ["messages follow the direction of the edges; measures use both directions"]
        edges, weight = (edges, weight) if weight is not None else (coalesce(edges, num_nodes=nodes), None)
    elif weight is None:
        listed, edges = edges, to_undirected(edges, num_nodes=nodes)  # sorted, each edge once
        notes += _reversed(listed, edges, nodes)
    else:
        listed, (edges, weight) = edges, to_undirected(edges, weight, nodes, reduce="mean")
        notes += _reversed(listed, edges, nodes)
    return replace(raw, edge_index=edges, edge_weight=weight, directed=directed, notes=raw.notes + notes)


def _positive(edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    present = weight > 0
    if not present.any():
        raise UserError(
            "all edges have weight 0: use dataset.edge_weight=none, or in to_dataset edge_weight='none', to leave the"
            " weights out"
        )
    return edges[:, present], weight[present]


def _reversed(listed: Tensor, edges: Tensor, nodes: int) -> list[str]:
    """A note on the added reverse edges, if some edges had one already."""
    if 2 * listed.shape[1] == edges.shape[1]:
        return []  # every edge is listed once, in one direction
    given = edges.shape[1] - _distinct(listed, nodes)
    if not given or 2 * given == edges.shape[1]:
        return []
    return [
        f"added the reverse of {given:,} of {edges.shape[1] - given:,} edges, because dataset.directed=false makes the"
        " graph undirected"
    ]


def _distinct(edges: Tensor, nodes: int) -> int:
    return torch.unique(edges[0] * nodes + edges[1]).numel()

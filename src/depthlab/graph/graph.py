"""A graph with one split: what a training step sees, all data or a batch of them."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.last_layer import LastLayer
from depthlab.ops import SparseFeatures


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph that a model trains on.

    Attributes:
        x: node features, (n, f), dense or sparse.
        adjacency: the normalised adjacency that the layers propagate over (all but the last layer if `last` is set).
        y: target of each node, (n,): a class, int64, -1 for none, or a number; or of each graph, (b,), if `ptr` is set.
        train, val, test: the node indices of one split; graph indices if `ptr` is set.
        original: edges before the rewiring, (2, m); None if the graph was not rewired.
        new_nodes: number of nodes added by a rewiring; they come last.
        weight: factor of each training node's loss if a batch is split among processes; None: the loss is the mean
            over the training nodes.
        last, depth: adjacency of the last of `depth` layers if it propagates over other edges, else None.
        ptr: for graph-level targets of b disjoint graphs: graph i has the nodes ptr[i] to ptr[i + 1] - 1, int64 (b +
            1,). None for node-level targets.
        pooling: readout over the nodes of a graph: `mean`, `sum` or `max`.
    """

    x: Tensor | SparseFeatures
    adjacency: Adjacency
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor
    original: Tensor | None = None
    new_nodes: int = 0
    last: Adjacency | None = None
    depth: int = 0
    weight: float | None = None
    ptr: Tensor | None = None
    pooling: str = "mean"

    @property
    def edge_index(self) -> Tensor:
        """Edges of the data without self-loops, (2, m), each undirected edge in both directions.

        For a rewired graph these are the edges before the rewiring: smoothness is measured over the same pairs of nodes
        for all rewirings, so that they can be compared.
        """
        if self.original is not None:
            return self.original
        not_loop = ~self.adjacency.loops
        return torch.stack([self.adjacency.col[not_loop], self.adjacency.row[not_loop]])

    @property
    def layers(self) -> Adjacency | LastLayer:
        """The adjacency of every layer, as a network gets it."""
        return self.adjacency if self.last is None else LastLayer(self.adjacency, self.last, self.depth)

    @property
    def num_nodes(self) -> int:
        """Number of nodes of the data, without those that a rewiring added."""
        return self.y.numel() - self.new_nodes if self.ptr is None else int(self.ptr[-1])

    @property
    def node_targets(self) -> Tensor:
        """The target of each node, (n,): its own, or that of its graph for graph-level targets."""
        return self.y[: self.num_nodes] if self.ptr is None else self.y.repeat_interleave(self.ptr.diff())

    def read_out(self, output: Tensor) -> Tensor:
        """Readout: return node outputs (n, channels) unchanged, or pool them over each graph, (b, channels)."""
        if self.ptr is None:
            return output
        from torch_geometric.utils import segment

        return segment(output[: self.num_nodes], self.ptr, self.pooling)

    def rewired(self, x: Tensor | SparseFeatures, edge_index: Tensor, last_of: int | None = None) -> "Graph":
        """The same data, split and measures, with other edges to propagate over.

        Args:
            x: features of all nodes, (n + new, f); new nodes come last, get class -1 and are in no part of the split.
            edge_index: (2, m'), both directions of every undirected edge.
            last_of: depth of the network, if only its last layer propagates over these edges.
        """
        nodes, edges = x.shape[0], self.edge_index
        new = nodes - self.num_nodes
        y = torch.cat([self.y, self.y.new_full((new,), -1)])
        graph = replace(self, x=x, adjacency=gcn_adjacency(edge_index, nodes), y=y, original=edges, new_nodes=new)
        if last_of is None:
            return graph
        return replace(graph, adjacency=gcn_adjacency(edges, nodes), last=graph.adjacency, depth=last_of)

    @property
    def undirected_edges(self) -> Tensor:
        """Edges without self-loops, (2, m), each in both directions, also edges along which messages go one way."""
        edges = self.edge_index
        if self.original is None and self.adjacency.symmetric:
            return edges
        return torch.cat([edges, edges.flip(0)], 1).unique(dim=1)

    def to(self, device: torch.device | str, **_: Any) -> "Graph":
        """The graph on a device; itself if it is on that device already."""
        if self.y.device == torch.device(device):
            return self
        moved = {name: value.to(device) for name, value in vars(self).items() if hasattr(value, "to")}
        return replace(self, **moved)

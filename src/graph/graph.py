"""A graph with one split: the single batch that a full-batch training step sees."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from src.graph.adjacency import Adjacency
from src.ops import SparseFeatures


@dataclass(frozen=True, eq=False)
class Graph:
    """What a model trains on.

    Attributes:
        x: node features, (n, f), dense or sparse.
        adjacency: the normalised adjacency.
        y: class of each node, int64 (n,).
        train, val, test: the node numbers of one split.
    """

    x: Tensor | SparseFeatures
    adjacency: Adjacency
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor

    @property
    def edge_index(self) -> Tensor:
        """Edges without self-loops, (2, m), each undirected edge in both directions."""
        not_loop = ~self.adjacency.loops
        return torch.stack([self.adjacency.col[not_loop], self.adjacency.row[not_loop]])

    @property
    def undirected_edges(self) -> Tensor:
        """Edges without self-loops, (2, m), each in both directions, also those that messages pass in one alone."""
        edges = self.edge_index
        return edges if self.adjacency.symmetric else torch.cat([edges, edges.flip(0)], 1).unique(dim=1)

    def to(self, device: torch.device | str, **_: Any) -> "Graph":
        """The graph on a device: itself if it is there already, else a copy."""
        if self.y.device == torch.device(device):
            return self
        nodes = (part.to(device) for part in (self.y, self.train, self.val, self.test))
        return Graph(self.x.to(device), self.adjacency.to(device), *nodes)

"""A graph with one split that need not fit in memory: no tensor of it is larger than its own arrays on disk."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.neighbours import Neighbours


@dataclass(frozen=True, eq=False)
class LargeGraph:
    """What mini-batches are cut from, and what is evaluated as a whole.

    Attributes:
        x: node features, dense (n, f), possibly memory-mapped.
        neighbours: its edges and P.
        y: class of each node, int64 (n,); -1 for none.
        train, val, test: the node numbers of one split.
        scratch: an existing folder, in which the states of an evaluation take n * hidden * 4 bytes three times.
    """

    x: Tensor
    neighbours: Neighbours
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor
    scratch: Path

    @functools.cached_property
    def adjacency(self) -> Adjacency:
        """The whole P in memory."""
        return self.neighbours.induced(torch.arange(self.neighbours.num_nodes))

    def batch(self, core: Tensor) -> Graph:
        """Some nodes with all edges between them, within a halo of their other neighbours.

        Rows of P of the core are whole, so that a first layer gives a node of the core the state that it has in the
        whole graph; the halo's own rows are cut, and none of its nodes is trained on.

        Args:
            core: node numbers, ascending.
        """
        nodes = self.neighbours.around(core)
        inner = torch.searchsorted(nodes, core)
        trained = torch.zeros(len(self.y), dtype=torch.bool)
        trained[self.train] = True
        none = torch.empty(0, dtype=torch.long)
        train = inner[trained[core]]
        return Graph(self.x[nodes], self.neighbours.induced(nodes), self.y[nodes], train, none, none)

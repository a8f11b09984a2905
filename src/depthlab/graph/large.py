"""A graph with one split that need not fit in memory."""

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
    """A graph from which mini-batches are cut, and which is evaluated as a whole.

    Attributes:
        x: node features, dense (n, f), possibly memory-mapped.
        neighbours: its edges and P.
        y: class of each node, int64 (n,); -1 for none.
        train, val, test: the node numbers of one split.
        scratch: existing folder for the states of an evaluation, which take 3 * n * hidden * 4 bytes.
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
        """P of the full graph, in memory."""
        return self.neighbours.induced(torch.arange(self.neighbours.num_nodes))

    def read_out(self, output: Tensor) -> Tensor:
        """Readout for node-level targets: return the node outputs."""
        return output

    def batch(self, core: Tensor) -> Graph:
        """The subgraph of some nodes and a halo of their other neighbours.

        The rows of P of the core are complete, so that the first layer gives its nodes the same states as in the full
        graph. The rows of the halo are incomplete, and its nodes are not trained on.

        Args:
            core: node indices, ascending.
        """
        nodes = self.neighbours.around(core)
        inner = torch.searchsorted(nodes, core)
        trained = torch.zeros(len(self.y), dtype=torch.bool)
        trained[self.train] = True
        none = torch.empty(0, dtype=torch.long)
        train = inner[trained[core]]
        return Graph(self.x[nodes], self.neighbours.induced(nodes), self.y[nodes], train, none, none)

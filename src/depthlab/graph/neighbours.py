"""The edges of a graph by rows, which may lie on disk, and entries of its normalised adjacency as they are needed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, row_block, symmetric_adjacency


@dataclass(frozen=True, eq=False)
class Neighbours:
    """P = D~^-1/2 (A + I) D~^-1/2 of an undirected graph, never held as a whole: 8 bytes a node are.

    Attributes:
        crow: int64 (n + 1,); the neighbours of node i are `col[crow[i]:crow[i + 1]]`, ascending, without i itself.
        col: int64 (m,), possibly memory-mapped.
    """

    crow: Tensor
    col: Tensor

    @staticmethod
    def of(edge_index: Tensor, num_nodes: int) -> "Neighbours":
        """From edges (2, m) in both directions, sorted by row and then column, no self-loops, no repetitions."""
        crow = torch.zeros(num_nodes + 1, dtype=torch.long)
        crow[1:] = torch.bincount(edge_index[0], minlength=num_nodes).cumsum(0)
        return Neighbours(crow, edge_index[1])

    @property
    def num_nodes(self) -> int:
        return len(self.crow) - 1

    def inverse_root(self, nodes: Tensor) -> Tensor:
        """The diagonal of D~^-1/2 at some nodes, degrees being those in the whole graph; float32."""
        return (self.crow[nodes + 1] - self.crow[nodes] + 1).float().rsqrt()

    def entries(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The pattern of some rows of P, self-loops included: `(row, col)` in CSR order, row i being `nodes[i]`'s."""
        count = self.crow[nodes + 1] - self.crow[nodes]
        first, places = count.cumsum(0) - count, torch.arange(len(nodes))
        row = torch.repeat_interleave(places, count)
        number = torch.arange(len(row))
        col = self.col[torch.repeat_interleave(self.crow[nodes] - first, count) + number]
        before = col < nodes[row]  # the self-loop stands between those before it and those behind
        all_col = torch.empty(len(row) + len(nodes), dtype=torch.long)
        all_col[number + row + ~before] = col
        all_col[first + places + torch.bincount(row[before], minlength=len(nodes))] = nodes
        return torch.repeat_interleave(places, count + 1), all_col

    def block(self, start: int, stop: int) -> tuple[Adjacency, Tensor]:
        """Rows start..stop-1 of P as a block of rows, and the node index of each of its columns."""
        nodes = torch.arange(start, stop)
        row, col = self.entries(nodes)
        values = self.inverse_root(nodes)[row] * self.inverse_root(col)
        outside = (col < start) | (col >= stop)
        others, place = col[outside].unique(return_inverse=True)
        col = col - start
        col[outside] = len(nodes) + place
        return row_block(row, col, values, len(nodes), len(nodes) + len(others)), torch.cat([nodes, others])

    def around(self, nodes: Tensor) -> Tensor:
        """These nodes and all their neighbours, sorted."""
        return self.entries(nodes)[1].unique()

    def induced(self, nodes: Tensor) -> Adjacency:
        """P[nodes, nodes]: the entries of the whole graph's P, not normalised afresh.

        Args:
            nodes: (k,), ascending. Entry (i, j) of the result is that of `nodes[i]` and `nodes[j]`.
        """
        row, col = self.entries(nodes)
        place = torch.searchsorted(nodes, col).clamp_max_(len(nodes) - 1)
        inside = nodes[place] == col
        row, col, root = row[inside], place[inside], self.inverse_root(nodes)
        return symmetric_adjacency(row, col, root[row] * root[col], len(nodes))

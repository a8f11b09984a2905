"""Edges of a graph as CSR arrays, which may be on disk, and rows of its normalised adjacency on demand."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, row_block, symmetric_adjacency


@dataclass(frozen=True, eq=False)
class Neighbours:
    """P = D~^-1/2 (W + I) D~^-1/2 of an undirected graph, with only 8 bytes per node in memory.

    Without edge weights, W = A. Edge weights take 4 more bytes per node.

    Attributes:
        crow: int64 (n + 1,); the neighbours of node i are `col[crow[i]:crow[i + 1]]`, ascending, without i itself.
        col: int64 (m,), possibly memory-mapped.
        weight: weight of the edge to each of these neighbours, float32 (m,), possibly memory-mapped; None if all are 1.
    """

    crow: Tensor
    col: Tensor
    weight: Tensor | None = None

    @staticmethod
    def of(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None) -> "Neighbours":
        """From edges (2, m) in both directions, sorted by row and then column, no self-loops, no repetitions.

        Args:
            edge_weight: edge weights > 0, (m,).
        """
        crow = torch.zeros(num_nodes + 1, dtype=torch.long)
        crow[1:] = torch.bincount(edge_index[0], minlength=num_nodes).cumsum(0)
        return Neighbours(crow, edge_index[1], edge_weight)

    @property
    def num_nodes(self) -> int:
        return len(self.crow) - 1

    def inverse_root(self, nodes: Tensor) -> Tensor:
        """The diagonal of D~^-1/2 at some nodes, with the degrees of the full graph; float32."""
        if self.weight is not None:
            return self._total[nodes].rsqrt()
        return (self.crow[nodes + 1] - self.crow[nodes] + 1).float().rsqrt()

    @cached_property
    def _total(self) -> Tensor:
        """Row sums of W + I, float32 (n,)."""
        assert self.weight is not None, "without weights the degrees are in crow"
        sums = torch.segment_reduce(self.weight.double(), "sum", offsets=self.crow, initial=0)
        return (sums + 1).float()

    def entries(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Some rows of W + I, `(row, col, weight)` in CSR order; row i is that of `nodes[i]`."""
        count = self.crow[nodes + 1] - self.crow[nodes]
        first, position = count.cumsum(0) - count, torch.arange(len(nodes))
        row = torch.repeat_interleave(position, count)
        number = torch.arange(len(row))
        position_in_col = torch.repeat_interleave(self.crow[nodes] - first, count) + number
        col = self.col[position_in_col]
        before = col < nodes[row]  # the self-loop comes after these
        all_col = torch.empty(len(row) + len(nodes), dtype=torch.long)
        all_col[number + row + ~before] = col
        all_col[first + position + torch.bincount(row[before], minlength=len(nodes))] = nodes
        weight = None
        if self.weight is not None:
            weight = torch.ones(len(all_col))
            weight[number + row + ~before] = self.weight[position_in_col]
        return torch.repeat_interleave(position, count + 1), all_col, weight

    def block(self, start: int, stop: int) -> tuple[Adjacency, Tensor]:
        """Rows start..stop-1 of P as a block of rows, and the node index of each of its columns."""
        nodes = torch.arange(start, stop)
        row, col, weight = self.entries(nodes)
        values = self.inverse_root(nodes)[row] * self.inverse_root(col)
        values = values if weight is None else values * weight
        outside = (col < start) | (col >= stop)
        halo, position = col[outside].unique(return_inverse=True)
        col = col - start
        col[outside] = len(nodes) + position
        return row_block(row, col, values, len(nodes), len(nodes) + len(halo)), torch.cat([nodes, halo])

    def around(self, nodes: Tensor) -> Tensor:
        """These nodes and all their neighbours, sorted."""
        return self.entries(nodes)[1].unique()

    def induced(self, nodes: Tensor) -> Adjacency:
        """P[nodes, nodes] with the entries of the full graph's P, not normalised again.

        Args:
            nodes: (k,), ascending. Entry (i, j) of the result is that of `nodes[i]` and `nodes[j]`.
        """
        row, col, weight = self.entries(nodes)
        position = torch.searchsorted(nodes, col).clamp_max_(len(nodes) - 1)
        inside = nodes[position] == col
        row, col, root = row[inside], position[inside], self.inverse_root(nodes)
        values, weight = root[row] * root[col], None if weight is None else weight[inside]
        induced = symmetric_adjacency(row, col, values if weight is None else values * weight, len(nodes))
        return replace(induced, weights=weight)

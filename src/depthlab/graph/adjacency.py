"""The normalised adjacency: one immutable object, CSR, with its transpose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor

from depthlab.ops.precision import full
from depthlab.ops.propagation import same_pattern


@dataclass(frozen=True, eq=False)
class Adjacency:
    """A fixed sparsity pattern with self-loops, and values on it.

    Changing the values gives a new object (`with_values`); nothing caches a normalisation that a dropped or rewired
    edge set would silently invalidate.

    Attributes:
        matrix: values on the pattern, sparse CSR (n, n), entry (i, j) weighs the message from j to i.
        transpose: its transpose, the same object where pattern and values are symmetric.
        row, col: the two ends of every stored entry, int64, in CSR order.
        pair: for every entry the number of its undirected edge, 0 <= pair < num_edges; `num_edges` for a self-loop.
        num_edges: number of undirected edges without self-loops (a directed edge without its reverse counts as one).
        order: position in `matrix` of each entry of `transpose`.
        symmetric: every edge has its reverse, so that both share one pattern.
        learned: the values once more where a gradient has to reach them, else None.
    """

    matrix: Tensor
    transpose: Tensor
    row: Tensor
    col: Tensor
    pair: Tensor
    num_edges: int
    order: Tensor
    symmetric: bool
    learned: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        return self.matrix.shape[0]

    @property
    def values(self) -> Tensor:
        return self.matrix.values()

    @property
    def loops(self) -> Tensor:
        """Which entries are self-loops, bool; one in every row, in the order of the nodes."""
        return self.row == self.col

    @property
    def neighbours(self) -> Tensor:
        """Which entries join a node to a neighbour, bool: no self-loop, and not dropped."""
        return (self.values != 0) & ~self.loops

    @property
    def degree(self) -> Tensor:
        """Number of neighbours of each node, of the type of the values, shape (n,); dropped edges do not count."""
        return self.row_sums(self.neighbours.to(self.values.dtype))

    def row_sums(self, values: Tensor) -> Tensor:
        """The sum of entry values over each row, shape (n,)."""
        return values.new_zeros(self.num_nodes).index_add(0, self.row, values)

    def at(self, layer: int) -> "Adjacency":
        """The adjacency that layer `layer` propagates over: this one, in every layer."""
        return self

    def with_values(self, values: Tensor) -> "Adjacency":
        """The same pattern with other constant values in CSR order, symmetric ones where the pattern is symmetric."""
        matrix = same_pattern(self.matrix, values)
        transpose = matrix if self.symmetric else same_pattern(self.transpose, values[self.order])
        return replace(self, matrix=matrix, transpose=transpose, learned=None)

    def weighted(self, values: Tensor) -> "Adjacency":
        """The same pattern with any values in CSR order, also such that differ in the two directions or are learned."""
        values = full(values)  # attention under autocast
        constant = values.detach()
        matrix, transpose = same_pattern(self.matrix, constant), same_pattern(self.transpose, constant[self.order])
        return replace(self, matrix=matrix, transpose=transpose, learned=values if values.requires_grad else None)

    def normalized(self, weights: Tensor) -> "Adjacency":
        """Symmetric normalisation D^-1/2 W D^-1/2 of entry weights W >= 0 (self-loops included), D = row sums of W."""
        inverse_root = self.row_sums(weights).rsqrt()  # never of zero: every row has its self-loop
        return self.with_values(weights * inverse_root[self.row] * inverse_root[self.col])

    def to(self, device: torch.device | str, **_: Any) -> "Adjacency":
        """A copy on another device."""
        matrix = self.matrix.to(device)
        shared = self.transpose is self.matrix
        return replace(
            self,
            matrix=matrix,
            transpose=matrix if shared else self.transpose.to(device),
            row=self.row.to(device),
            col=self.col.to(device),
            pair=self.pair.to(device),
            order=self.order.to(device),
            learned=None if self.learned is None else self.learned.to(device),
        )


def gcn_adjacency(edge_index: Tensor, num_nodes: int) -> Adjacency:
    """P = D~^-1/2 (A + I) D~^-1/2 (Kipf & Welling 2017) of an unweighted graph.

    Args:
        edge_index: shape (2, m), rows source and target, an undirected edge in both directions; self-loops and
            repeated edges are ignored. Every node gets exactly one self-loop.
        num_nodes: n.

    Returns:
        The adjacency; its pattern is symmetric iff every edge has its reverse.
    """
    source, target = edge_index
    loops = torch.arange(num_nodes, device=edge_index.device)
    keys = torch.cat([target * num_nodes + source, loops * (num_nodes + 1)]).unique()
    row, col = keys // num_nodes, keys % num_nodes
    low, high = torch.minimum(row, col), torch.maximum(row, col)
    is_loop = row == col
    undirected, pair_of_edge = (low * num_nodes + high)[~is_loop].unique(return_inverse=True)
    pair = torch.full_like(row, undirected.numel())
    pair[~is_loop] = pair_of_edge

    reverse = col * num_nodes + row
    order = reverse.argsort()
    symmetric = bool((reverse[order] == keys).all())
    matrix = _csr(row, col, torch.ones(row.numel(), device=row.device), num_nodes)
    transpose = matrix if symmetric else _csr(col[order], row[order], matrix.values(), num_nodes)
    unweighted = Adjacency(matrix, transpose, row, col, pair, undirected.numel(), order, symmetric)
    return unweighted.normalized(matrix.values())


def symmetric_adjacency(row: Tensor, col: Tensor, values: Tensor, num_nodes: int) -> Adjacency:
    """An adjacency from its entries in CSR order, in time linear in them.

    Args:
        row, col: a symmetric pattern with all self-loops, each entry once.
        values: of the entries, symmetric too.
        num_nodes: n.
    """
    number = np.arange(len(row))
    order = torch.from_numpy(coo_array((number, (row.numpy(), col.numpy()))).tocsc().data)
    upper, lower = row < col, row > col
    edges = int(upper.sum())
    pair = torch.full_like(row, edges)
    pair[upper] = torch.arange(edges)
    pair[lower] = pair[order[lower]]
    matrix = _csr(row, col, values, num_nodes)
    return Adjacency(matrix, matrix, row, col, pair, edges, order, symmetric=True)


def _csr(row: Tensor, col: Tensor, values: Tensor, num_nodes: int) -> Tensor:
    crow = torch.zeros(num_nodes + 1, dtype=torch.int32, device=row.device)
    crow[1:] = torch.bincount(row, minlength=num_nodes).cumsum(0)
    return torch.sparse_csr_tensor(crow, col.int(), values, (num_nodes, num_nodes), check_invariants=False)

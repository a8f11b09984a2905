"""The normalised adjacency: one immutable object, CSR, with its transpose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthlab.ops import SparseFeatures, matmul, propagate
from depthlab.ops.precision import full
from depthlab.ops.propagation import same_pattern


@dataclass(frozen=True, eq=False)
class Adjacency:
    """A sparse operator P with self-loops that a layer propagates over: a fixed sparsity pattern and its values.

    `with_values` returns a new object. No normalisation is cached, so dropped or rewired edges cannot invalidate one.

    A block of rows is rectangular, (rows, cols): its first columns are the nodes of the rows, in the same order, and
    the others are their neighbours. It has no transpose, and so no backward pass.

    Attributes:
        matrix: values on the pattern, sparse CSR (rows, cols); entry (i, j) weights the message from j to i.
        transpose: its transpose; the same object only if pattern and values are symmetric by construction, so that
            the backward pass can use the matrix itself.
        row, col: row and column of every stored entry, int64, in CSR order.
        pair: index of the undirected edge of every entry, 0 <= pair < num_edges; `num_edges` for a self-loop.
        num_edges: number of undirected edges without self-loops (a directed edge without its reverse counts as one).
        order: position in `matrix` of each entry of `transpose`.
        symmetric: every edge has its reverse, with the same weight, so that matrix and transpose have the same pattern.
        weights: weight of every stored entry before the normalisation, 1 on self-loops; None if all are 1.
        learned: the values as a tensor of the autograd graph if they need a gradient, else None.
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
    weights: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """Number of rows."""
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

    def propagate(
        self,
        x: Tensor | SparseFeatures,
        weight: Tensor | None = None,
        *,
        scale: float = 1.0,
        residual: Tensor | None = None,
    ) -> Tensor:
        """`scale * P x W + residual`, one sparse product.

        Computes P (x W), or (P x) W in a block of rows, where P x has fewer rows than x.

        Args:
            x: states of the nodes of all columns, (cols, f).
            weight: W, (f, c); None for the identity.
            scale: a constant factor.
            residual: (rows, c).

        Returns:
            (rows, c).
        """
        if weight is not None and not self._is_block:
            return propagate(self, matmul(x, weight), scale=scale, residual=residual)
        x = x.to_dense() if isinstance(x, SparseFeatures) else x
        if weight is None:
            return propagate(self, x, scale=scale, residual=residual)
        out = propagate(self, x, scale=scale) @ weight
        return out if residual is None else out + residual

    def at_rows(self, x: Tensor) -> Tensor:
        """The states of the rows' own nodes: (cols, f) -> (rows, f)."""
        return x[: self.num_nodes] if self._is_block else x

    @property
    def _is_block(self) -> bool:
        return self.matrix.shape[0] != self.matrix.shape[1]

    def with_values(self, values: Tensor) -> "Adjacency":
        """The same pattern with other values, in CSR order; they get gradients if they require them."""
        values = full(values)  # attention under autocast
        constant = values.detach()
        transpose = None if self.transpose is None else same_pattern(self.transpose, constant[self.order])
        matrix, learned = same_pattern(self.matrix, constant), values if values.requires_grad else None
        return replace(self, matrix=matrix, transpose=transpose, learned=learned)

    def scaled(self, factors: Tensor) -> "Adjacency":
        """Multiply the values by a constant factor per undirected edge, (num_edges,); self-loops keep their value."""
        return self._of_edges(self.values, factors, self.transpose is self.matrix)

    def normalized(self, factors: Tensor) -> "Adjacency":
        """Symmetric normalisation D^-1/2 W D^-1/2, D = row sums of W, which has 1 on self-loops.

        Args:
            factors: one for each undirected edge, >= 0, (num_edges,); they multiply the edge weights in W.
        """
        total = self._on_entries(factors)
        if self.weights is not None:
            total = total * self.weights
        inverse_root = self.row_sums(total).rsqrt()  # positive: every row has a self-loop
        values = inverse_root[self.row] * inverse_root[self.col]
        if self.weights is not None:
            values = values * self.weights
        return self._of_edges(values, factors, self.symmetric)

    def _of_edges(self, values: Tensor, factors: Tensor, symmetric: bool) -> "Adjacency":
        """Multiply `values` by a factor per undirected edge, which keeps symmetric values symmetric."""
        values = values * self._on_entries(factors)
        if not symmetric:
            return self.with_values(values)
        matrix = same_pattern(self.matrix, values)
        return replace(self, matrix=matrix, transpose=matrix, learned=None)

    def _on_entries(self, per_edge: Tensor) -> Tensor:
        """Spread one number per undirected edge over the stored entries; self-loops get 1."""
        return torch.cat([per_edge, per_edge.new_ones(1)])[self.pair]

    def to(self, device: torch.device | str, **_: Any) -> "Adjacency":
        """A copy on another device."""
        matrix = self.matrix.to(device)
        shared = self.transpose is self.matrix
        return replace(
            self,
            matrix=matrix,
            transpose=matrix if shared or self.transpose is None else self.transpose.to(device),
            row=self.row.to(device),
            col=self.col.to(device),
            pair=self.pair.to(device),
            order=self.order.to(device),
            learned=None if self.learned is None else self.learned.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )


def gcn_adjacency(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None) -> Adjacency:
    """P = D~^-1/2 (W + I) D~^-1/2 (Kipf & Welling 2017), W = A without weights; D~ holds the row sums of W + I.

    Row i of P weights the messages that arrive at node i, so that D~ counts the edges into a node of a directed graph.

    Args:
        edge_index: shape (2, m), rows source and target, an undirected edge in both directions; self-loops and
            repeated edges are ignored. Every node gets exactly one self-loop.
        num_nodes: n.
        edge_weight: edge weights > 0, (m,); those of repeated edges are added.

    Returns:
        The adjacency; it is symmetric iff every edge has its reverse, with the same weight.
    """
    source, target = edge_index
    loops = torch.arange(num_nodes, device=edge_index.device)
    listed = torch.cat([target * num_nodes + source, loops * (num_nodes + 1)])
    keys, entry = (listed.unique(), None) if edge_weight is None else listed.unique(return_inverse=True)
    row, col = keys // num_nodes, keys % num_nodes
    low, high = torch.minimum(row, col), torch.maximum(row, col)
    is_loop = row == col
    undirected, pair_of_edge = (low * num_nodes + high)[~is_loop].unique(return_inverse=True)
    pair = torch.full_like(row, undirected.numel())
    pair[~is_loop] = pair_of_edge

    reverse = col * num_nodes + row
    order = reverse.argsort()
    symmetric = bool((reverse[order] == keys).all())
    weights = None
    if edge_weight is not None and entry is not None:
        weights = edge_weight.new_zeros(row.numel()).index_add(0, entry[: edge_weight.numel()], edge_weight)
        weights[is_loop] = 1
        symmetric = symmetric and torch.equal(weights[order], weights)
    matrix = _csr(row, col, torch.ones(row.numel(), device=row.device), num_nodes)
    transpose = matrix if symmetric else _csr(col[order], row[order], matrix.values(), num_nodes)
    pattern = Adjacency(matrix, transpose, row, col, pair, undirected.numel(), order, symmetric, weights=weights)
    return pattern.normalized(torch.ones(undirected.numel(), device=row.device))


def symmetric_adjacency(row: Tensor, col: Tensor, values: Tensor, num_nodes: int) -> Adjacency:
    """An adjacency from its entries in CSR order, in time linear in them.

    Args:
        row, col: a symmetric pattern with all self-loops, each entry once.
        values: of the entries, symmetric too.
        num_nodes: n.
    """
    from scipy.sparse import coo_array

    number = np.arange(len(row))
    order = torch.from_numpy(coo_array((number, (row.numpy(), col.numpy()))).tocsc().data)
    upper, lower = row < col, row > col
    edges = int(upper.sum())
    pair = torch.full_like(row, edges)
    pair[upper] = torch.arange(edges)
    pair[lower] = pair[order[lower]]
    matrix = _csr(row, col, values, num_nodes)
    return Adjacency(matrix, matrix, row, col, pair, edges, order, symmetric=True)


def row_block(row: Tensor, col: Tensor, values: Tensor, rows: int, cols: int) -> Adjacency:
    """Build a block of rows from its entries, sorted by row; column i < rows is the node of row i."""
    none = torch.empty(0, dtype=torch.long)
    matrix, transpose = _csr(row, col, values, rows, cols), None
    return Adjacency(matrix, transpose, row, col, none, 0, none, symmetric=False)  # type: ignore[arg-type]


def _csr(row: Tensor, col: Tensor, values: Tensor, rows: int, cols: int | None = None) -> Tensor:
    crow = torch.zeros(rows + 1, dtype=torch.int32, device=row.device)
    crow[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return torch.sparse_csr_tensor(crow, col.int(), values, (rows, cols or rows), check_invariants=False)

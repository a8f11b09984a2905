"""Connected components of a graph, and linear systems with its Laplacian."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg, splu
from torch import Tensor

from depthlab.measures.edges import check_undirected

Array = np.ndarray[Any, Any]
FACTORED = 5000  # nodes, or twice the independent cycles, up to which a sparse factorisation stays small
STEPS, TOLERANCE = 2000, 1e-8  # of conjugate gradients


class ConvergenceError(ArithmeticError):
    """An iteration did not converge; the message gives the reason and a bound, if there is one."""


class Blocks:
    """A graph with its nodes sorted by connected component.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no self-loops, no repetitions.
        num_nodes: n.

    Attributes:
        label: the component of each node, (n,).
        position: index of each node in the new order, (n,).
        begin: index of the first node of each component in the new order, and n, (components + 1,).

    Raises:
        ValueError: the edges do not have this form.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        check_undirected(edge_index, num_nodes)
        row, col = edge_index.cpu().numpy()
        adjacency = coo_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes)).tocsr()
        _, self.label = connected_components(adjacency, directed=False)
        order = np.argsort(self.label, kind="stable")
        self.position = np.argsort(order)
        self.begin = np.append(0, np.bincount(self.label).cumsum())
        self._adjacency = adjacency[order][:, order]

    def __len__(self) -> int:
        return len(self.begin) - 1

    def __getitem__(self, component: int) -> csr_array:
        """The adjacency of one component, float64."""
        inside = slice(self.begin[component], self.begin[component + 1])
        return self._adjacency[inside, inside]

    @property
    def largest(self) -> int:
        return int(np.argmax(np.diff(self.begin)))


def laplacian(adjacency: csr_array) -> csr_array:
    """D - A."""
    return csr_array(diags_array(adjacency.sum(axis=1)) - adjacency)


def factorable(adjacency: csr_array) -> bool:
    """Whether a sparse factorisation is cheap: few nodes, or few cycles however many nodes (paths, trees, rings)."""
    nodes, edges = adjacency.shape[0], adjacency.nnz // 2
    return min(nodes, 2 * (edges - nodes + 1)) <= FACTORED


def solver(adjacency: csr_array) -> Callable[[Array], Array]:
    """A function that solves (D - A) x = b on a connected graph for b (n,) that sums to zero; x up to a constant.

    By a sparse LU factorisation with one node grounded where `factorable`, else by conjugate gradients, preconditioned
    with D, to a residual of 1e-8 |b|.

    Raises:
        ConvergenceError: from that function, after 2,000 steps.
    """
    matrix = laplacian(adjacency)
    if factorable(adjacency):
        # the pivot may stay on the diagonal of a symmetric positive matrix, which keeps the factors sparse
        factors = splu(
            csc_array(matrix[1:, 1:]), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
        )
        return lambda b: np.append(0.0, factors.solve(b[1:]))
    inverse_degree = diags_array(1 / matrix.diagonal())

    def solve(b: Array) -> Array:
        x, steps = cg(matrix, b, rtol=TOLERANCE, maxiter=STEPS, M=inverse_degree)
        if steps:
            raise ConvergenceError(f"conjugate gradients did not reach a residual of {TOLERANCE:g} in {STEPS:,} steps")
        return x

    return solve

"""The spectral gap of a graph."""

import math
import warnings

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg
from torch import Tensor

from depthlab.measures.laplacian import Array, Blocks, ConvergenceError, factorable, laplacian, solver

DENSE = 500
VECTORS, RESTARTS, TOLERANCE = 40, 50, 1e-8  # of Lanczos' method
BOUND = 100  # steps for an upper bound where it did not converge


def spectral_gap(edge_index: Tensor, num_nodes: int) -> float:
    r"""Second smallest eigenvalue of the normalised Laplacian (Chung 1997), :math:`\lambda_2(I - D^{-1/2} A D^{-1/2})`.

    In [0, n / (n - 1)]: 0 iff the graph is disconnected, n / (n - 1) for a clique. By Cheeger's inequality a small gap
    is a bottleneck. NaN for fewer than two nodes.

    Dense below 500 nodes; else by Lanczos' method, on the inverse where a sparse factorisation is cheap (up to 5,000
    nodes or 2,500 independent cycles: long paths, rings and trees, on which Lanczos alone would not converge), on
    the matrix itself elsewhere, to an absolute error of 1e-8.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no self-loops, no repetitions.
        num_nodes: n.

    Raises:
        ConvergenceError: a large graph with many cycles and a tiny gap; says which value it does not exceed.
    """
    blocks = Blocks(edge_index, num_nodes)
    return _gap(blocks[0]) if len(blocks) == 1 else 0.0 if len(blocks) else math.nan


def largest_component_gap(edge_index: Tensor, num_nodes: int) -> float:
    """`spectral_gap` of the largest connected component, as if it were all of the graph; NaN of a single node."""
    blocks = Blocks(edge_index, num_nodes)
    return _gap(blocks[blocks.largest]) if len(blocks) else math.nan


def _gap(adjacency: csr_array) -> float:
    n = adjacency.shape[0]
    if n < 2:
        return math.nan
    root = np.sqrt(adjacency.sum(axis=1))
    kernel = root / np.linalg.norm(root)  # of the normalised Laplacian
    if n < DENSE:
        scaled = laplacian(adjacency).toarray() / root / root[:, None]
        return float(np.linalg.eigvalsh(scaled)[1])
    start = np.random.default_rng(0).standard_normal(n)
    start -= kernel * (kernel @ start)
    if factorable(adjacency):
        solve = solver(adjacency)

        def inverse(b: Array) -> Array:
            b = np.ravel(b)
            x = root * solve(root * (b - kernel * (kernel @ b)))
            return x - kernel * (kernel @ x)

        return float(1 / eigsh(LinearOperator((n, n), inverse), 1, v0=start, return_eigenvectors=False)[0])
    walk = csr_array(diags_array(1 / root) @ adjacency @ diags_array(1 / root))

    def deflated(b: Array) -> Array:
        b = np.ravel(b)
        return walk @ b + b - 2 * kernel * (kernel @ b)  # I + S, whose kernel vector of eigenvalue 2 goes to 0

    operator = LinearOperator((n, n), deflated)
    try:
        options = {"ncv": VECTORS, "maxiter": RESTARTS, "tol": TOLERANCE}
        return float(2 - eigsh(operator, 1, which="LA", v0=start, return_eigenvectors=False, **options)[0])
    except ArpackNoConvergence:
        estimate = _upper_bound(walk, kernel, start)
        steps = f"{VECTORS * RESTARTS:,} steps of Lanczos' method on {n:,} nodes"
        raise ConvergenceError(f"the spectral gap did not settle in {steps}: it is at most {estimate:.2g}") from None


def _upper_bound(walk: csr_array, kernel: Array, start: Array) -> float:
    """A Rayleigh quotient orthogonal to the kernel, made small by some steps of LOBPCG."""
    matrix = csr_array(eye_array(len(kernel)) - walk)
    with warnings.catch_warnings(action="ignore"):  # it need not converge: any Rayleigh quotient is an upper bound
        values, _ = lobpcg(matrix, start[:, None], Y=kernel[:, None], largest=False, maxiter=BOUND, tol=TOLERANCE)
    return float(values[0])

"""Graph diffusion by personalised PageRank (GDC or DIGL, Gasteiger et al. 2019, https://arxiv.org/abs/1911.05485)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, eye_array
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.edges import both_directions

Array = np.ndarray[Any, Any]
EXACT = 4096  # up to so many nodes the matrix is inverted: 130 MB in float64
EPSILON = 1e-4
BLOCK = 512  # sources whose walks are held at once


def ppr(edge_index: Tensor, num_nodes: int, generator: torch.Generator, *, alpha: float, k: int) -> Tensor:
    r"""Join every node to the k others that a random walk with restarts links it to most; the old edges are gone.

    .. math:: \Pi = \alpha (I - (1 - \alpha) T)^{-1}, \qquad T = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}

    An edge {u, v} is there if :math:`\Pi_{uv}` is among the k largest of row u or of row v, the diagonal apart; fewer
    than k where a component is smaller.

    This differs from the paper, whose graph keeps the entries of :math:`\Pi` as weights, normalised by columns: here
    they only choose the edges and are then dropped. A rewired graph is an unweighted one, normalised as any other.

    Exact up to 4,096 nodes. Beyond, by pushes (Andersen et al. 2006) along many walks at once, until no node v holds
    more than :math:`\epsilon \tilde d_v` of what is still to walk: :math:`\Pi_{uv}` is found up to
    :math:`\epsilon (\tilde d_u \tilde d_v)^{1/2}`, :math:`\epsilon = 10^{-4}`.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: not used, nothing is random.
        alpha: probability of a restart at every step, in (0, 1).
        k: how many entries of each row are kept.

    Returns:
        (2, m'), of the same form, k n / 2 to k n undirected edges in a connected graph.

    Raises:
        UserError: a node has fewer than k others.
    """
    if k >= num_nodes:
        raise UserError(f"a node of {num_nodes} has {num_nodes - 1} others: use rewiring.k={num_nodes - 1} or less")
    row, col = edge_index.numpy()
    adjacency = csr_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes)) + eye_array(num_nodes)
    rows = exact_rows if num_nodes <= EXACT else pushed_rows
    keys = []
    for node, others, values in rows(csr_array(adjacency), alpha):
        # in float32, so that rounding does not choose between entries that are equal
        near = others[_strongest(np.where(others == node, 0, values).astype(np.float32), k)]
        keys.append(np.minimum(near, node) * num_nodes + np.maximum(near, node))
    return both_directions(torch.from_numpy(np.unique(np.concatenate(keys))), num_nodes)


def _strongest(values: Array, k: int) -> Array:
    """Positions of the k largest values that are not zero, the first ones among equals."""
    k = min(k, int(np.count_nonzero(values)))
    if k == 0:
        return np.empty(0, np.int64)
    limit = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > limit)
    return np.concatenate([above, np.flatnonzero(values == limit)[: k - len(above)]])


def exact_rows(adjacency: csr_array, alpha: float) -> Iterator[tuple[int, Array, Array]]:
    """Every row u of the matrix above: u, all nodes, and the entries; `adjacency` has its self-loops."""
    scale = diags_array(1 / np.sqrt(adjacency.sum(axis=1)))
    walk = torch.from_numpy((scale @ adjacency @ scale).toarray())
    system = torch.eye(len(walk), dtype=walk.dtype) - (1 - alpha) * walk  # its eigenvalues are alpha or more
    matrix = alpha * torch.cholesky_inverse(torch.linalg.cholesky(system))
    nodes = np.arange(len(walk))
    for node in range(len(walk)):
        yield node, nodes, matrix[node].clamp_min(0).numpy()


def pushed_rows(adjacency: csr_array, alpha: float) -> Iterator[tuple[int, Array, Array]]:
    """The same row by row from below: u, the nodes that were reached, and their entries."""
    nodes = adjacency.shape[0]
    degree = adjacency.sum(axis=1)
    step = csr_array(diags_array((1 - alpha) / degree) @ adjacency)
    for start in range(0, nodes, BLOCK):
        sources = np.arange(start, min(start + BLOCK, nodes))
        shape = (len(sources), nodes)
        walking = csr_array((np.ones(len(sources)), (np.arange(len(sources)), sources)), shape=shape)
        stopped = csr_array(shape)
        while True:
            moves = walking.data > EPSILON * degree[walking.indices]
            if not moves.any():
                break
            moving, walking = (_entries(walking, chosen) for chosen in (moves, ~moves))
            stopped, walking = stopped + alpha * moving, walking + moving @ step
        reached = csr_array(stopped + alpha * walking)  # all that is left stops at the least with probability alpha
        reached.sort_indices()
        for source in sources:
            entries = slice(*reached.indptr[source - start : source - start + 2])
            others = reached.indices[entries].astype(np.int64)
            yield int(source), others, reached.data[entries] * np.sqrt(degree[source] / degree[others])


def _entries(matrix: csr_array, chosen: Array) -> csr_array:
    """The matrix with the chosen ones of its stored entries alone."""
    starts = np.append(0, chosen.cumsum())[matrix.indptr]
    return csr_array((matrix.data[chosen], matrix.indices[chosen], starts), shape=matrix.shape)

"""Balanced Forman curvature, which counts triangles and 4-cycles of an edge; negative edges are bottlenecks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from depthlab.measures.edges import check_undirected

Array = np.ndarray[Any, Any]
CHUNK = 1 << 22  # paths held at once: some 500 MB


def balanced_forman(edge_index: Tensor, num_nodes: int) -> Tensor:
    r"""Balanced Forman curvature of every edge (Topping et al. 2022, definition 1, https://arxiv.org/abs/2111.14522).

    .. math:: \mathrm{Ric}(i,j) = \frac2{d_i} + \frac2{d_j} - 2 + \frac{2T}{\max(d_i, d_j)} + \frac{T}{\min(d_i, d_j)}
        + \frac{S_i + S_j}{\gamma_{max} \max(d_i, d_j)}

    and 0 where :math:`\min(d_i, d_j) = 1`. T is the number of triangles on the edge, S_i that of neighbours k of i on
    a 4-cycle i-k-w-j without diagonals (neither k~j nor i~w), and gamma_max the largest number of such cycles through
    one k or one w; without any the last term is 0. Always above -2; on a tree 2/d_i + 2/d_j - 2.

    Exact. Time grows with the number of paths of two edges, sum_i d_i^2 / 2 (leaves do not count), memory with edges
    and triangles: paths are taken in parts.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no self-loops, no repetitions, in any order.
        num_nodes: n.

    Returns:
        float64 (m,), in the order of the columns of `edge_index`.

    Raises:
        ValueError: an edge has no reverse, is repeated, or joins a node to itself.
    """
    check_undirected(edge_index, num_nodes)
    row, col = edge_index.cpu().numpy()
    order = np.lexsort((col, row))
    row, col = row[order], col[order]
    back = _reverse(col)
    degree = np.bincount(row, minlength=num_nodes)
    low, high = np.minimum(degree[row], degree[col]), np.maximum(degree[row], degree[col])
    inner = low > 1
    triangles, corners, most = (np.zeros(len(row), np.int64) for _ in range(3))
    triangles[inner], corners[inner], most[inner] = _cycles(row[inner], col[inner], num_nodes)
    squares = (corners + corners[back]) / np.maximum(most, most[back]).clip(1)
    values = 2 / low + 2 / high - 2 + triangles * (2 / high + 1 / low) + squares / high
    curvature = np.empty(len(row))
    curvature[order] = np.where(inner, values, 0.0)
    return torch.from_numpy(curvature)


def _reverse(col: Array) -> Array:
    """Position of (j, i) for every (i, j) of a symmetric pattern in CSR order."""
    return np.argsort(col, kind="stable")


def _cycles(row: Array, col: Array, n: int) -> tuple[Array, Array, Array]:
    """Of every edge (i, j) in CSR order: its triangles, S_i, and the most 4-cycles through one such neighbour of i."""
    corners, most = (np.zeros(len(row), np.int64) for _ in range(2))
    start, back, keys = np.searchsorted(row, np.arange(n + 1)), _reverse(col), row * n + col
    closed = _closed(row, col, n)
    paths = back - start[col]  # j-i-k with k < j, of the edge (j, i): the neighbours of i that stand before j
    for nodes in _parts(np.diff(np.append(0, paths.cumsum())[start])):
        edges = np.arange(start[nodes.start], start[nodes.stop])
        first = np.repeat(edges, paths[edges])  # the edge (j, i) of each path, and (i, k)
        second = _ranges(start[col[edges]], paths[edges])
        ends, path, shared = _groups(row[first] * n + col[second])
        # only ends that are no neighbours and share two or more close a 4-cycle without the diagonal k~j
        wanted = shared > 1
        wanted[wanted] = ~_lookup(ends[wanted], keys)[1]
        path, shared = path[np.repeat(wanted, shared)], shared[wanted]
        group = np.repeat(np.arange(len(shared)), shared)
        path = np.sort(group * len(first) + path) - group * len(first)
        first, second = first[path], second[path]
        cycles = np.repeat(shared, shared) - 1 - _joined(closed, first, shared)
        for edge in (back[first], second):
            np.add.at(corners, edge, cycles > 0)
            np.maximum.at(most, edge, cycles)
    return np.diff(closed.indptr), corners, most


def _closed(row: Array, col: Array, n: int) -> csr_array:
    """Which edges (i, j), (i, k) are two sides of a triangle, as (m, m) with a one for each such pair.

    Found at the corner of lowest degree (Chiba & Nishizeki 1985), so that a hub costs no more than its edges.
    """
    keys, back = row * n + col, _reverse(col)
    rank = np.empty(n, np.int64)
    rank[np.argsort(np.bincount(row, minlength=n))] = np.arange(n)
    up = np.flatnonzero(rank[row] < rank[col])
    later = np.searchsorted(row[up], row[up], side="right") - np.arange(len(up)) - 1
    pairs = [np.empty((2, 0), np.int64)]
    for part in _parts(later):
        position = np.arange(part.start, part.stop)
        ab, ac = up[np.repeat(position, later[part])], up[_ranges(position + 1, later[part])]
        bc, real = _lookup(col[ab] * n + col[ac], keys)
        ab, ac, bc = ab[real], ac[real], bc[real]
        pairs += [np.stack([ab, ac]), np.stack([back[ab], bc]), np.stack([back[ac], back[bc]])]
    first, second = np.concatenate(pairs, axis=1)
    both = np.concatenate([first, second]), np.concatenate([second, first])
    return coo_array((np.ones(len(both[0]), np.int32), both), shape=(len(row), len(row))).tocsr()


def _joined(closed: csr_array, members: Array, sizes: Array) -> Array:
    """For every edge (j, i) of consecutive groups, of the given sizes: the (j, w) of its group with i~w."""
    last, counts = sizes.cumsum(), [np.empty(0, np.int64)]
    work = np.diff(np.append(0, np.diff(closed.indptr)[members].cumsum())[np.append(0, last)])
    for groups in _parts(work):
        inside = members[last[groups.start] - sizes[groups.start] : last[groups.stop - 1]]
        begin = np.append(0, sizes[groups].cumsum())
        pattern = csr_array((np.ones(len(inside), np.int32), inside, begin), shape=(len(begin) - 1, closed.shape[0]))
        count = csr_array((pattern @ closed).multiply(pattern) + pattern)  # the sum keeps entries that are zero
        count.sort_indices()
        counts.append(count.data - 1)
    return np.concatenate(counts)


def _lookup(wanted: Array, keys: Array) -> tuple[Array, Array]:
    """Positions of the wanted keys among sorted ones, and whether they are there."""
    order, position = np.argsort(wanted), np.empty(len(wanted), np.int64)
    position[order] = np.searchsorted(keys, wanted[order])  # much faster in order
    position = position.clip(max=len(keys) - 1)
    return position, keys[position] == wanted


def _groups(keys: Array) -> tuple[Array, Array, Array]:
    """The distinct keys in order, the positions sorted by key, and how many there are of each."""
    order = np.argsort(keys)
    ordered = keys[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[begins], order, np.diff(begins, append=len(keys))


def _ranges(begin: Array, length: Array) -> Array:
    """begin[0], begin[0] + 1, ... for length[0] numbers, then those from begin[1], and so on."""
    offset = np.repeat(begin - length.cumsum() + length, length)
    return offset + np.arange(len(offset))


def _parts(work: Array) -> Iterator[slice]:
    """Consecutive slices of `work` that sum to CHUNK at most, or hold one entry."""
    total, begin = work.cumsum(), 0
    while begin < len(work):
        done = total[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, done + CHUNK, side="right")))
        yield slice(begin, end)
        begin = end

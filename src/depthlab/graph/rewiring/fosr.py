"""FoSR, first-order spectral rewiring (Karhadkar et al. 2023, https://arxiv.org/abs/2210.11790)."""

import heapq
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.edges import both_directions, edge_keys, free_pairs

Array = np.ndarray[Any, Any]
LIMIT = 600  # seconds
PER_EDGE, PER_ENTRY = 5e-4, 2e-8  # seconds of an iteration, and of each stored entry in it: measured on one core


def fosr(
    edge_index: Tensor,
    num_nodes: int,
    generator: torch.Generator,
    *,
    num_edges: int,
    initial_iterations: int,
    iterations: int,
) -> Tensor:
    r"""Add one edge after the other, each where it raises the spectral gap most to first order.

    With x the second eigenvector of :math:`D^{-1/2} A D^{-1/2}`, the edge between the two nodes that are not joined and

    .. math:: (u, v) = \arg\min\; y_u y_v, \qquad y_i = x_i / \sqrt{1 + d_i}

    changes its eigenvalue by :math:`2 x_u x_v / \sqrt{(1 + d_u)(1 + d_v)}` and terms of higher order in 1/d. x is
    followed by power iteration on :math:`I + D^{-1/2} A D^{-1/2}`, without its share along :math:`\sqrt d`: from a
    random start before the first edge, and on from there after every edge. A node without neighbours has eigenvalue 0.

    The pairs are taken from the sorted ends of y, best first, so that the minimum is exact and nothing of size n x n is
    ever built: O(m + n log n) an edge.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: draws the start of the power iteration.
        num_edges: how many undirected edges to add.
        initial_iterations: power iterations before the first edge.
        iterations: power iterations after every edge.

    Returns:
        (2, m + 2 num_edges), of the same form.

    Raises:
        UserError: fewer pairs than that are free, or it would take more than ten minutes.
    """
    keys = edge_keys(edge_index, num_nodes)
    free = free_pairs(num_nodes, keys.numel())
    if num_edges > free:
        raise UserError(f"only {free} pairs of nodes are not joined yet: use rewiring.num_edges={free} or less")
    seconds = max(1, iterations) * (PER_EDGE + PER_ENTRY * edge_index.shape[1])
    if num_edges * seconds > LIMIT:
        raise UserError(
            f"rewiring=fosr would take some {num_edges * seconds / 60:,.0f} minutes for {num_edges:,} edges:"
            f" use rewiring.num_edges={int(LIMIT / seconds)} or less"
        )
    row, col = edge_index.numpy()
    adjacency = csr_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes))
    degree = np.bincount(row, minlength=num_nodes).astype(np.float64)
    present, added = keys.numpy(), list[tuple[int, int]]()
    new_keys: set[int] = set()

    def joined(u: int, v: int) -> bool:
        key = min(u, v) * num_nodes + max(u, v)
        place = np.searchsorted(present, key)
        return key in new_keys or bool(place < len(present) and present[place] == key)

    x = 2 * torch.rand(num_nodes, generator=generator, dtype=torch.float64).numpy() - 1
    x = _power_iteration(x, adjacency, added, degree, initial_iterations)
    for _ in range(num_edges):
        u, v = best_pair(x / np.sqrt(1 + degree), joined)
        added.append((u, v))
        new_keys.add(min(u, v) * num_nodes + max(u, v))
        degree[[u, v]] += 1
        x = _power_iteration(x, adjacency, added, degree, iterations)
    both = torch.cat([keys, torch.tensor(sorted(new_keys), dtype=torch.long)])
    return both_directions(both, num_nodes)


def _power_iteration(
    x: Array, adjacency: csr_array, added: list[tuple[int, int]], degree: Array, iterations: int
) -> Array:
    """So many steps x <- (I + D^-1/2 A D^-1/2) x with x kept orthogonal to sqrt(d), of length 1."""
    root = np.sqrt(degree)
    inverse_root = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
    ends = np.array(added, dtype=np.int64).reshape(-1, 2)
    first, second = np.concatenate([ends, ends[:, ::-1]]).T  # a new matrix for every edge would cost more
    for _ in range(iterations):
        x = x - root * (root @ x / max(degree.sum(), 1))
        scaled = inverse_root * x
        sums = adjacency @ scaled
        np.add.at(sums, first, scaled[second])
        x = x + inverse_root * sums
        x = x / (np.linalg.norm(x) or 1)
    return x


def best_pair(y: Array, joined: Callable[[int, int], bool]) -> tuple[int, int]:
    """The pair u != v with the least y_u y_v that is not joined; there has to be one.

    Pairs of opposite sign come first, from the two ends inwards; only if all of these are joined, or there are none,
    pairs of equal sign, from zero outwards.
    """
    order = np.argsort(y, kind="stable")
    zero = int(np.searchsorted(y[order], 0))
    negative, positive = order[:zero], order[zero:]
    opposite = _ascending(y, negative, positive[::-1], start=0)
    equal = (_ascending(y, outwards, outwards, start=1) for outwards in (negative[::-1], positive))
    return next((u, v) for _, u, v in chain(opposite, heapq.merge(*equal)) if not joined(u, v))


def _ascending(y: Array, left: Array, right: Array, start: int) -> Iterator[tuple[float, int, int]]:
    """(y_u y_v, u, v) in ascending order, u from `left` and v from `right`, which both let the product grow.

    Args:
        start: 0 for all pairs; 1 where both sides are one list, for each of its pairs once.
    """
    heap: list[tuple[float, int, int]] = []

    def push(i: int, j: int) -> None:
        if i < len(left) and j < len(right):
            heapq.heappush(heap, (float(y[left[i]] * y[right[j]]), i, j))

    push(0, start)
    while heap:
        product, i, j = heapq.heappop(heap)
        yield product, int(left[i]), int(right[j])
        push(i, j + 1)
        if j == start * (i + 1):  # the first of its row: the next row may begin
            push(i + 1, start * (i + 2))

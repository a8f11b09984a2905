"""SDRF, stochastic discrete Ricci flow (Topping et al. 2022, https://arxiv.org/abs/2111.14522, algorithm 1)."""

from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.curved_graph import CurvedGraph, edge_curvature, forman

Array = np.ndarray[Any, Any]
PAIRS = 50_000_000  # weighed at once around one edge: 4 GB, half a minute
BYTES = 75  # of a pair: measured


def sdrf(
    edge_index: Tensor,
    num_nodes: int,
    generator: torch.Generator,
    *,
    num_steps: int,
    tau: float,
    removal_bound: float,
) -> Tensor:
    r"""Relieve the most negatively curved edge, step by step.

    A step takes the edge i-j of least Balanced Forman curvature and adds one edge k-l between the closed neighbourhoods
    of i and j, drawn with probability

    .. math:: p_{kl} \propto \exp(\tau x_{kl}), \qquad x_{kl} = \mathrm{Ric}_{+kl}(i,j) - \mathrm{Ric}(i,j).

    Then, if the largest curvature of all edges is above `removal_bound`, that edge is removed. If the neighbourhoods of
    i and j leave nothing to add, the step takes the next edge.

    The improvements x are found in closed form and the curvature of only those edges is computed again that a change
    can reach: a step takes O(d_i d_j) time and memory, and some d^2 for each of the edges near the new one, d a degree.

    The 4-cycles are those of the paper's definition (`balanced_forman`). The authors' code counts every neighbour of i
    or j that the other does not share, whether or not it lies on a 4-cycle, because the way over the edge i-j itself
    counts as one: it adds other edges.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: draws the edges to add.
        num_steps: how many edges to add.
        tau: inverse temperature; 0 draws any of the candidates, a large one the best.
        removal_bound: above which curvature the most positive edge is removed; infinity removes none.

    Returns:
        (2, m'), of the same form; 2 num_steps more entries, less those of removed edges.

    Raises:
        UserError: before the last step every component has become a clique, or two hubs are joined whose neighbours
            make more pairs than fit into memory.
    """
    graph = CurvedGraph(edge_index, num_nodes)
    for step in range(num_steps):
        new = _draw(graph, tau, generator)
        if new is None:
            left = f"after {step} edges no two nodes near an edge are left to join"
            raise UserError(f"{left}: use rewiring.num_steps={step} or less")
        graph.add(*new)
        edge, curvature = graph.most_positive()
        if curvature > removal_bound:
            graph.remove(*edge)
    return graph.edge_index


def _draw(graph: CurvedGraph, tau: float, generator: torch.Generator) -> tuple[int, int] | None:
    """The edge to add, at the most negative edge that leaves one to add; None if none does."""
    for i, j in graph.most_negative_first():
        _refuse_hubs(len(graph.neighbours[i]), len(graph.neighbours[j]))
        pairs, improvement = candidates(graph.neighbours, i, j)
        if len(pairs):
            weight = np.exp(tau * (improvement - improvement.max())).cumsum()
            point = float(torch.rand((), generator=generator, dtype=torch.float64)) * weight[-1]
            first, second = pairs[min(int(np.searchsorted(weight, point, side="right")), len(pairs) - 1)]
            return int(first), int(second)
    return None


def _refuse_hubs(degree_i: int, degree_j: int) -> None:
    pairs = degree_i * degree_j
    if pairs > PAIRS:
        raise UserError(
            f"rewiring=sdrf would weigh {pairs:.1e} pairs around an edge whose ends have {degree_i:,} and {degree_j:,}"
            f" neighbours, some {pairs * BYTES / 1e9:,.0f} GB: use rewiring=fosr on a graph with such hubs"
        )


def candidates(neighbours: list[set[int]], i: int, j: int) -> tuple[Array, Array]:
    """The pairs (c, 2) that a step may join at the edge i-j, and by how much each raises its curvature, (c,).

    With P the neighbours of i alone, Q those of j alone, and C those of both, the curvature changes by pairs of P and
    Q, of i and Q, and of P and j; pairs within C or between C and P or Q leave it as it is.
    """
    common = sorted(neighbours[i] & neighbours[j])
    p, q = sorted(neighbours[i] - neighbours[j] - {j}), sorted(neighbours[j] - neighbours[i] - {i})
    place = {node: number for number, node in enumerate(q)}
    joined = np.zeros((len(p), len(q)), dtype=np.int64)
    for number, node in enumerate(p):
        joined[number, [place[other] for other in neighbours[node] & place.keys()]] = 1
    degrees, triangles = (len(neighbours[i]), len(neighbours[j])), len(common)

    rows, columns = np.nonzero(joined == 0)
    across = np.stack([np.array(p, np.int64)[rows], np.array(q, np.int64)[columns]], axis=1)
    at_i = np.array([(i, other) for other in q], np.int64).reshape(-1, 2)
    at_j = np.array([(other, j) for other in p], np.int64).reshape(-1, 2)
    idle = [pair for pair in product(common, p + q) if pair[1] not in neighbours[pair[0]]]
    idle += [pair for pair in combinations(common, 2) if pair[1] not in neighbours[pair[0]]]

    old = edge_curvature(neighbours, i, j)
    new = [
        _joining(joined, degrees, triangles)[rows, columns],
        _ending(joined, degrees, triangles),
        _ending(joined.T, degrees[::-1], triangles),
        np.full(len(idle), old),
    ]
    pairs = np.concatenate([across, at_i, at_j, np.array(idle, np.int64).reshape(-1, 2)])
    return pairs, np.concatenate(new) - old


def _joining(joined: Array, degrees: tuple[int, int], triangles: int) -> Array:
    """The curvature once the k-th of P and the l-th of Q are joined, (|P|, |Q|): a 4-cycle more."""
    of_p, of_q = joined.sum(1)[:, None], joined.sum(0)[None]
    corners = (of_p > 0).sum() + (of_q > 0).sum() + (of_p == 0) + (of_q == 0)
    most = np.maximum(np.maximum(of_p, of_q) + 1, max(of_p.max(initial=0), of_q.max(initial=0)))
    return forman(degrees[0], degrees[1], triangles, corners, most)


def _ending(joined: Array, degrees: tuple[int, int], triangles: int) -> Array:
    """The curvature once i and the l-th of Q are joined, (|Q|,): a triangle more, and no 4-cycles through l."""
    of_p, of_q = joined.sum(1), joined.sum(0)
    left = of_p[:, None] - joined
    second, first = np.sort(np.append(of_q, [0, 0]))[[-2, -1]]
    others = np.full(len(of_q), first)  # the most through one of Q but the l-th
    others[of_q.argmax() if len(of_q) else []] = second
    corners = (left > 0).sum(0) + (of_q > 0).sum() - (of_q > 0)
    most = np.maximum(left.max(axis=0, initial=0), others)
    return forman(degrees[0] + 1, degrees[1], triangles + 1, corners, most)

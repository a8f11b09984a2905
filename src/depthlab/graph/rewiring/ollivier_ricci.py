"""Ollivier-Ricci curvature (Ollivier 2009, https://arxiv.org/abs/math/0701886) of edges, by exact optimal transport."""

import math
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import csr_array, kron, vstack

Array = np.ndarray[Any, Any]
Plan = list[tuple[int, int, float]]
ASSIGNED = 400  # up to so many equal units an assignment is faster than a linear program


def transport(neighbours: list[set[int]], u: int, v: int) -> tuple[float, Plan]:
    r"""Wasserstein-1 distance between the uniform measures on the neighbours of u and of v, an edge.

    The ground distance is that of shortest paths, never above 3 between a neighbour of u and one of v. Mass that both
    measures have at a node stays there, at no loss since distances are a metric; the rest is a transportation problem
    in whole units of 1 / lcm(d_u, d_v).

    Args:
        neighbours: of every node.
        u, v: the ends of an edge.

    Returns:
        The distance W, and where mass moves: (p, q, mass times distance) from neighbours p of u to neighbours q of v,
        whose costs sum to W. The curvature is 1 - W.
    """
    of_u, of_v = len(neighbours[u]), len(neighbours[v])
    units = math.lcm(of_u, of_v)
    give, take = units // of_u, units // of_v
    shared = neighbours[u] & neighbours[v]
    supply = dict.fromkeys(neighbours[u] - shared, give) | {p: give - take for p in shared if give > take}
    demand = dict.fromkeys(neighbours[v] - shared, take) | {q: take - give for q in shared if take > give}
    sources, sinks = sorted(supply), sorted(demand)
    if not sources:
        return 0.0, []
    distance = np.array([[_distance(neighbours, p, q) for q in sinks] for p in sources])
    moved = _solve(distance, np.array([supply[p] for p in sources]), np.array([demand[q] for q in sinks]))
    cost = moved * distance
    plan = [(sources[i], sinks[j], float(cost[i, j] / units)) for i, j in zip(*np.nonzero(cost), strict=True)]
    return float(cost.sum() / units), plan


def _distance(neighbours: list[set[int]], p: int, q: int) -> int:
    """Between two different nodes at most three hops apart."""
    if q in neighbours[p]:
        return 1
    return 3 if neighbours[p].isdisjoint(neighbours[q]) else 2


def _solve(distance: Array, supply: Array, demand: Array) -> Array:
    """The whole units to move from each source (rows) to each sink (columns) at the least cost."""
    if 1 in distance.shape:
        return np.broadcast_to(supply[:, None] if len(demand) == 1 else demand, distance.shape)
    unit = math.gcd(*supply.tolist(), *demand.tolist())
    supply, demand = supply // unit, demand // unit
    if supply.sum() <= ASSIGNED:
        source, sink = np.repeat(np.arange(len(supply)), supply), np.repeat(np.arange(len(demand)), demand)
        moved = np.zeros(distance.shape, np.int64)
        row, column = linear_sum_assignment(distance[source[:, None], sink])
        np.add.at(moved, (source[row], sink[column]), 1)
        return moved * unit
    rows, columns = (csr_array(np.eye(size)) for size in distance.shape)
    sums = [kron(rows, np.ones((1, len(demand)))), kron(np.ones((1, len(supply))), columns)]
    answer = linprog(distance.ravel(), A_eq=vstack(sums), b_eq=np.append(supply, demand), method="highs-ds")
    assert answer.status == 0, answer.message
    return np.rint(answer.x).astype(np.int64).reshape(distance.shape) * unit  # a vertex: whole numbers

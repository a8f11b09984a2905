"""A graph that knows the Balanced Forman curvature of its edges while edges come and go."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthlab.measures.curvature import balanced_forman

Array = np.ndarray[Any, Any]
Number = int | Array


class CurvedGraph:
    """An undirected graph with the curvature of every edge (see `depthlab.measures.curvature`).

    An edge that is added or removed changes the curvature of the edges at its two ends, by degrees and triangles, and
    of the edges between a neighbour of one end and a neighbour of the other, with which it closes a 4-cycle. Only these
    are computed again.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no loops.
        num_nodes: n.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        self.neighbours: list[set[int]] = [set() for _ in range(num_nodes)]
        for source, target in zip(*edge_index.tolist(), strict=True):
            self.neighbours[source].add(target)
        ordered = edge_index[:, (edge_index[0] * num_nodes + edge_index[1]).argsort()]
        once = ordered[0] < ordered[1]
        self._ends: list[tuple[int, int]] = [(int(u), int(v)) for u, v in ordered[:, once].T.tolist()]
        self._place = {edge: place for place, edge in enumerate(self._ends)}
        self._curvature = balanced_forman(ordered, num_nodes)[once].numpy()

    @property
    def edge_index(self) -> Tensor:
        """(2, m), both directions, sorted by source, then target."""
        one_way = torch.tensor(self._ends, dtype=torch.long).reshape(-1, 2).T
        both = torch.cat([one_way, one_way.flip(0)], dim=1)
        return both[:, (both[0] * len(self.neighbours) + both[1]).argsort()]

    @property
    def curvature(self) -> dict[tuple[int, int], float]:
        """Of every edge, lower end first."""
        return dict(zip(self._ends, self._curvature[: len(self._ends)].tolist(), strict=True))

    def most_negative_first(self) -> Iterator[tuple[int, int]]:
        """All edges in ascending order of curvature."""
        values = self._curvature[: len(self._ends)]
        if len(values):
            yield self._ends[int(values.argmin())]  # as a rule nobody asks for a second one
            for place in values.argsort(kind="stable")[1:]:
                yield self._ends[place]

    def most_positive(self) -> tuple[tuple[int, int], float]:
        """The edge of largest curvature, and its curvature."""
        place = int(self._curvature[: len(self._ends)].argmax())
        return self._ends[place], float(self._curvature[place])

    def add(self, u: int, v: int) -> None:
        """Join two nodes that are not joined."""
        self.neighbours[u].add(v)
        self.neighbours[v].add(u)
        edge = (min(u, v), max(u, v))
        self._place[edge] = len(self._ends)
        self._ends.append(edge)
        if len(self._ends) > len(self._curvature):
            self._curvature = np.append(self._curvature, np.zeros(64 + len(self._ends) // 8))
        self._update(u, v)

    def remove(self, u: int, v: int) -> None:
        """Part two nodes that are joined."""
        self.neighbours[u].remove(v)
        self.neighbours[v].remove(u)
        place, last = self._place.pop((min(u, v), max(u, v))), self._ends.pop()
        if place < len(self._ends):
            self._ends[place], self._place[last] = last, place
            self._curvature[place] = self._curvature[len(self._ends)]
        self._update(u, v)

    def _update(self, u: int, v: int) -> None:
        changed = {(end, other) for end in (u, v) for other in self.neighbours[end]}
        changed |= {(a, b) for a in self.neighbours[u] for b in self.neighbours[a] & self.neighbours[v]}
        for a, b in {(min(edge), max(edge)) for edge in changed}:
            self._curvature[self._place[a, b]] = edge_curvature(self.neighbours, a, b)


def edge_curvature(neighbours: list[set[int]], i: int, j: int) -> float:
    """Balanced Forman curvature of one edge, from sets of neighbours."""
    only_i, only_j = neighbours[i] - neighbours[j] - {j}, neighbours[j] - neighbours[i] - {i}
    cycles = [len(neighbours[k] & only_j) for k in only_i]
    cycles += [len(neighbours[k] & only_i) for k in only_j]
    corners = sum(number > 0 for number in cycles)
    triangles = len(neighbours[i]) - 1 - len(only_i)
    return float(forman(len(neighbours[i]), len(neighbours[j]), triangles, corners, max(cycles, default=0)))


def forman(degree_i: Number, degree_j: Number, triangles: Number, corners: Number, most: Number) -> Array:
    """The formula, of numbers or arrays: `corners` is S_i + S_j, `most` is gamma_max or 0."""
    low, high = np.minimum(degree_i, degree_j), np.maximum(degree_i, degree_j)
    squares = corners / np.maximum(most, 1)
    value = 2 / low + 2 / high - 2 + triangles * (2 / high + 1 / low) + squares / high
    return np.where(low > 1, value, 0.0)

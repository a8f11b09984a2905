"""A separate graph for the last layer, as in the fully-adjacent layer (+FA)."""

from dataclasses import dataclass
from typing import Protocol

from depthlab.graph.adjacency import Adjacency


class ByLayer(Protocol):
    """The adjacency of every layer."""

    def at(self, layer: int) -> Adjacency: ...


@dataclass(frozen=True)
class LastLayer:
    """The adjacency of a network whose last layer propagates over another graph (Alon & Yahav 2021,
    https://arxiv.org/abs/2006.05205).

    Attributes:
        first: adjacency of the layers before the last, or a DropEdge sample of it.
        last: adjacency of the last layer, on the same nodes.
        depth: number of layers.
    """

    first: ByLayer
    last: Adjacency
    depth: int

    def at(self, layer: int) -> Adjacency:
        """The adjacency that layer `layer`, 0..depth-1, propagates over."""
        return self.last if layer == self.depth - 1 else self.first.at(layer)

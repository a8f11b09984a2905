"""The animation of a run's node states, reduced to what a page needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NODES = 1500  # most nodes
FRAMES = 65  # most layers; of more, layers at growing distances
Array = np.ndarray[Any, Any]


@dataclass
class Animation:
    """States of one run in the plane.

    Attributes:
        dataset, method, depth: of the run.
        points: (frames, n, 2).
        y: class of each node, (n,).
        diverged: whether they are the last finite states of a run that diverged.
        layers: layer of each frame; all layers by default.
        nodes: number of nodes of the graph, of which n are shown; n by default.
        classes: names of the classes; empty if they have none.
    """

    dataset: str
    method: str
    depth: int
    points: Array
    y: Array
    diverged: bool = False
    layers: Sequence[int] = ()
    nodes: int = 0
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.layers = list(self.layers) or list(range(len(self.points)))
        self.nodes = self.nodes or len(self.y)

    @property
    def extent(self) -> float:
        """The largest coordinate: half the width of a frame that shows every point."""
        return float(np.abs(self.points).max()) or 1.0

    def in_bytes(self) -> Array:
        """The points as bytes, 0 to 255 from edge to edge."""
        return np.round((self.points / self.extent + 1) / 2 * 255).astype(np.uint8)


def reduced(animation: Animation) -> Animation:
    """At most NODES nodes, evenly spaced, and FRAMES layers, with coordinates of one byte."""
    nodes = np.unique(np.linspace(0, len(animation.y) - 1, min(NODES, len(animation.y))).round().astype(int))
    layers = list(range(len(animation.points)))
    if len(layers) > FRAMES:
        layers = [0, *np.unique(np.geomspace(1, layers[-1], FRAMES - 1).round().astype(int)).tolist()]
    points = animation.points.astype(np.float32)[layers][:, nodes]
    animation = Animation(
        animation.dataset, animation.method, animation.depth, points, animation.y[nodes], animation.diverged,
        layers, animation.nodes, animation.classes,
    )  # fmt: skip
    animation.points = from_bytes(animation.in_bytes(), animation.extent)
    return animation


def from_bytes(points: Array, extent: float) -> Array:
    """The coordinates of points in bytes."""
    return ((points.astype(np.float64) / 255 * 2 - 1) * extent).astype(np.float32)

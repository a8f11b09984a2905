"""The states of a trained network after each layer, in the plane, as a file for the animation of a report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthlab.graph.graph import Graph
from depthlab.measures.projection import aligned, plane
from depthlab.nn.execution import states
from depthlab.ops import SparseFeatures
from depthlab.training.module import TrainingModule


def save_states(model: TrainingModule, graph: Graph, path: Path, classes: Sequence[str] = ()) -> None:
    """Write an npz with `points` (layers, n, 2), float16, and the class of each node, or of its graph, `y` (n,).

    The names of the classes are stored as `classes`, if there are any.

    Nodes added by a rewiring are left out. Regression targets are binned into seven quantiles, which serve as classes.
    """
    frames: list[Tensor] = []
    with torch.no_grad():
        for state in states(model.network, graph.x, graph.layers):
            dense = state.to_dense() if isinstance(state, SparseFeatures) else state
            points = plane(dense[: graph.num_nodes])
            frames.append(aligned(points, frames[-1]) if frames else points)
    stacked = torch.stack(frames).cpu().numpy().astype(np.float16)
    y = graph.node_targets
    if y.is_floating_point():
        y = torch.bucketize(y, y.nanquantile(torch.linspace(0, 1, 8, device=y.device)[1:-1]))
    named: dict[str, Any] = {"classes": np.array(classes)} if classes else {}
    np.savez_compressed(path, points=stacked, y=y.cpu().numpy(), **named)

"""A lesson made by hand, with the shape of a recorded one."""

import numpy as np
import pytest

from depthlab.lesson.content import Lesson, Network
from depthlab.lesson.edges import DroppedEdges
from depthlab.lesson.receptive_field import ReceptiveField
from depthlab.report.animation import Animation

NODES, EPOCHS = 40, 12
HOSTILE = "</script><i>\"'&"


def network(name: str, depth: int, score: float, verdict: str, last: float = 0.01) -> Network:
    """A network whose measures go from 1 to `last`."""
    curve = np.geomspace(1, last, depth + 1).tolist()
    curves = {
        "rayleigh_quotient": curve, "effective_rank": [10 * value for value in curve], "dirichlet_energy": curve,
        "gradient_norm_first_epoch": [0.0, *curve[1:]],
    }  # fmt: skip
    points = np.random.default_rng(depth).normal(size=(depth + 1, NODES, 2)).astype(np.float32)
    animation = Animation("cora", name, depth, points, np.arange(NODES) % 7)
    best = 0 if verdict == "over-smoothed" else 9
    return Network(name, depth, score, verdict, "by hand", best, EPOCHS, 3.0, curves, animation)


@pytest.fixture
def lesson() -> Lesson:
    """Five networks, of which two have collapsed."""
    networks = [
        network("GCN 2", 2, 0.82, "healthy"),
        network("GCN 8", 8, 0.40, "under-fitted"),
        network("GCN 32", 32, 0.09, "over-smoothed", 1e-6),
        network("GCN 32 + DropEdge", 32, 0.10, "over-smoothed", 1e-6),
        network("GCNII 32", 32, 0.85, "healthy", 0.5),
    ]
    return Lesson(
        dataset="cora", nodes=NODES, edges=100, train=14, val=10, test=16, classes=[f"c{k}" for k in range(7)],
        commonest=0.3, guess=1 / 7, networks=networks, missing=[],
        dropped=DroppedEdges(100, [80 + k % 5 for k in range(EPOCHS)]),
        reach=ReceptiveField(3, 30, [1, 2, 4, 8, 15], [1, 3, 10, 16], 100, 20, (1.5, 1.25)),
        uri="sqlite:///mlflow.db", experiment="lesson", study="lesson-cora", limit=200, hidden=64, p_drop=0.2,
    )  # fmt: skip

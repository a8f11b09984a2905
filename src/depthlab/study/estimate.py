"""Estimates how long planned runs take, from recorded runs or from a table of measured costs. Imports nothing heavy."""

import functools
import json
import statistics
from collections.abc import Mapping
from typing import Any

from depthlab.config.option_types import DatasetSettings
from depthlab.config.schema import Settings
from depthlab.config.settings import config_hash
from depthlab.folders import PACKAGE
from depthlab.study.grid import AXES, PlannedRun
from depthlab.study.plan import Plan

OVERHEAD = 1.0  # seconds of a run besides its epochs: recording, measures, one test
PATIENCES = 4  # assumed length of a training, in units of its patience
COSTS = PACKAGE / "study" / "costs.json"  # written by `python -m benchmarks.durations`
NODES = 3000  # of a graph that is not in the table


def estimate(plan: Plan) -> dict[str, float]:
    """Seconds of each run to do, by its hash.

    Runs of one kind differ in depth, seed and split alone; time is assumed to be linear in depth. The estimate is the
    mean of the recorded runs of the kind. Without one, it is computed from the costs of an epoch that were measured for
    each architecture on one machine, which can be wrong by a factor of three.
    """
    known: dict[str, dict[int, list[float]]] = {}
    for run in plan.runs:
        if run.hash in plan.done:
            depths = known.setdefault(_alike(run), {})
            depths.setdefault(run.depth, []).append(plan.done[run.hash].training_seconds)
    seconds = {}
    for run in plan.todo:
        if depths := known.get(_alike(run), {}):
            nearest = min(depths, key=lambda depth: abs(depth - run.depth))
            training = statistics.fmean(depths[nearest]) * (run.depth + 1) / (nearest + 1)
        else:
            training = expected(run.settings)
        seconds[run.hash] = training + OVERHEAD
    return seconds


def _alike(run: PlannedRun) -> str:
    return config_hash(run.settings, without=AXES)


def expected(settings: Settings) -> float:
    """Seconds of a training by the table of costs: a fixed cost of each step, and that of its layers and their states.

    An architecture that is not in the table costs as much as the median of the others.
    """
    models = costs()["models"]
    known = models.get(settings.model.label)
    step, layer, entry = known or [statistics.median(column) for column in zip(*models.values(), strict=True)]
    nodes, steps = _size(settings.dataset)
    epoch = steps * (step + settings.depth * layer) + settings.depth * entry * nodes * settings.hidden
    return float(min(settings.epochs, PATIENCES * settings.patience) * epoch)


def _size(dataset: DatasetSettings) -> tuple[int, int]:
    """Number of nodes of all graphs, and of training steps in an epoch."""
    arguments = dataset.arguments
    graphs = int(arguments.get("graphs") or arguments.get("train_graphs") or 1)
    nodes = arguments.get("nodes") or arguments.get("size") or costs()["nodes"].get(dataset.option, NODES)
    return graphs * int(nodes), -(-graphs // (dataset.batch_size or graphs))


@functools.cache
def costs() -> Mapping[str, Any]:
    """The table.

    Returns:
        `models`: seconds of a step, of a layer in it, and of an entry of its state, of each architecture; `nodes`:
        number of nodes of a graph of each dataset.
    """
    content: dict[str, Any] = json.loads(COSTS.read_text(encoding="utf-8"))
    return content

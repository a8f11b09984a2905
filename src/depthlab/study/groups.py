"""Cells of a study that are trained together: they differ in seed or split alone."""

from collections.abc import Sequence
from typing import Any

from depthlab.config.settings import config_hash
from depthlab.data.prepare import load
from depthlab.study.grid import Cell
from depthlab.study.work import Job
from depthlab.training.replicas import refuse

TOGETHER = 10  # at most, where the study chooses
STATE = 200_000  # numbers in a state, nodes times hidden, up to which it was measured to be faster: Cora's have 173,312
VARIED = ("seed", "split", "split_seed")


def group(jobs: Sequence[Job], replicas: str | int, workers: int) -> list[tuple[Job, ...]]:
    """The jobs in groups of replicas, in the order of the first of each; a group of one is a run by itself.

    Args:
        replicas: at most so many in a group; `auto`: ten, or fewer where a worker would be idle, and where states are
            small.
        workers: that there are.
    """
    size = TOGETHER if replicas == "auto" else int(replicas)
    if replicas == "auto":
        size = max(1, min(size, -(-len(jobs) // workers)))
    nodes: dict[str, int] = {}
    groups: list[list[Job]] = []
    open_groups: dict[str, list[Job]] = {}
    for job in jobs:
        wanted = size > 1 and can_replicate(job.cell.settings) and (replicas != "auto" or _small(job.cell, nodes))
        kind = _kind(job.cell) if wanted else None
        found = open_groups.get(kind) if kind else None
        if found is None or len(found) >= size:
            found = []
            groups.append(found)
            if kind:
                open_groups[kind] = found
        found.append(job)
    return [tuple(found) for found in groups]


def can_replicate(settings: dict[str, Any]) -> bool:
    """Whether such cells can be trained together."""
    try:
        refuse(settings)
    except Exception:  # what else is wrong with the cell it will say itself
        return False
    return True


def _small(cell: Cell, known: dict[str, int]) -> bool:
    """Whether its states are; `known` are the nodes of the datasets that were looked at."""
    config = cell.settings["dataset"]
    if str(config) not in known:
        known[str(config)] = load(config)[0].num_nodes
    return known[str(config)] * int(cell.settings["hidden"]) <= STATE


def _kind(cell: Cell) -> str:
    alike = {key: value for key, value in cell.settings.items() if key not in VARIED}
    return f"{cell.line} {cell.dataset} {config_hash(alike)}"

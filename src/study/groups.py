"""Cells of a study that are trained together: they differ in seed or split alone."""

from collections.abc import Sequence
from typing import Any

from hydra.utils import get_class

from src.errors import UserError
from src.replicas import obstacle
from src.settings import config_hash
from src.study.grid import Cell
from src.study.work import Job

TOGETHER = 10  # at most, where the study chooses
VARIED = ("seed", "split", "split_seed")


def group(jobs: Sequence[Job], replicas: str | int, workers: int) -> list[tuple[Job, ...]]:
    """The jobs in groups of replicas, in the order of the first of each; a group of one is a run by itself.

    Args:
        replicas: at most so many in a group; `auto`: ten, or fewer where a worker would be idle.
        workers: that there are.
    """
    size = TOGETHER if replicas == "auto" else int(replicas)
    if replicas == "auto":
        size = max(1, min(size, -(-len(jobs) // workers)))
    groups: list[list[Job]] = []
    open_groups: dict[str, list[Job]] = {}
    for job in jobs:
        kind = _kind(job.cell) if size > 1 and can_replicate(job.cell.settings) else None
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
        return obstacle(settings) is None and bool(get_class(settings["model"]["_target_"]).can_replicate)
    except Exception:  # the cell itself will say what is wrong with it
        return False


def check_replicas(replicas: Any) -> None:
    """Raise UserError for a `replicas` of conf/study.yaml that is not allowed."""
    if replicas != "auto" and (type(replicas) is not int or replicas < 1):
        raise UserError(f"replicas must be auto or a whole number in [1, inf), got {replicas}")


def _kind(cell: Cell) -> str:
    alike = {key: value for key, value in cell.settings.items() if key not in VARIED}
    return f"{cell.line} {cell.dataset} {config_hash(alike)}"

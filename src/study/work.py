"""One cell in whatever process it is given to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import ResumeError
from src.study.grid import Cell
from src.train.identity import LAST, checkpoint_folder


@dataclass(frozen=True)
class Job:
    """A cell and what its run is labelled with."""

    cell: Cell
    labels: dict[str, str]


def work(job: Job, threads: int) -> tuple[str, str]:
    """Train a cell, from its checkpoint if it was interrupted; returns its outcome, and accuracy and verdict."""
    from src.train.run import run
    from src.train.summary import outcome_line

    settings = job.cell.settings | {"progress": False}
    settings["trainer"] = settings["trainer"] | {"threads": settings["trainer"]["threads"] or threads}
    if job.cell.film:
        artifacts = [*settings["tracking"]["artifacts"], "states"]
        settings["tracking"] = settings["tracking"] | {"artifacts": artifacts}
    try:
        result = run(settings | {"ckpt": _interrupted(settings)}, job.cell.origin, job.labels)
    except ResumeError:
        result = run(settings, job.cell.origin, job.labels)
    return result.outcome, outcome_line(result)


def _interrupted(settings: dict[str, Any]) -> str | None:
    return "last" if Path(checkpoint_folder(settings) / LAST).is_file() else None

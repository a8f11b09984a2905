"""One cell, or several as replicas, in whatever process they are given to."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthlab.config.errors import ReplicasError, ResumeError, TakenError
from depthlab.study.grid import Cell
from depthlab.training.identity import LAST, checkpoint_folder
from depthlab.training.run_name import run_name

TAKEN = "taken"  # outcome of a cell that another command trains or has trained


@dataclass(frozen=True)
class Job:
    """A cell to be run.

    Attributes:
        labels: tags of its run.
        reuse: which earlier results count, those of `any_code` or of `same_code`.
    """

    cell: Cell
    labels: dict[str, str]
    reuse: str = "any_code"


def work(jobs: tuple[Job, ...], threads: int) -> tuple[str, str]:
    """Train cells, from their checkpoints if they were interrupted; in halves if they do not fit in memory at once.

    Returns:
        The outcome, and a summary: accuracy and verdict of one cell, or the mean accuracy and the number of cells by
        outcome. The outcome is `taken` if another command trains a cell.
    """
    from depthlab.training.replicas import run_replicas
    from depthlab.training.run import run
    from depthlab.training.summary import outcome_line, spread_of

    settings = [_settings(job, threads) for job in jobs]
    if len(jobs) > 1:
        labels = [job.labels for job in jobs]
        try:
            results = list(run_replicas(settings, [job.cell.origin for job in jobs], labels, jobs[0].reuse))
        except ReplicasError:
            half = len(jobs) // 2
            (outcome, first), (other, second) = work(jobs[:half], threads), work(jobs[half:], threads)
            return TAKEN if TAKEN in (outcome, other) else outcome, f"{first}; {second}"
        if missing := len(jobs) - len(results):
            others = f"other commands have taken {missing} of {len(jobs)}"
            return TAKEN, f"{spread_of(results)}; {others}" if results else others
        return results[0].outcome, spread_of(results)
    (job,), (one,) = jobs, settings
    try:
        try:
            result = run(one, job.cell.origin, job.labels, job.reuse)
        except ResumeError as error:
            print(f"{run_name(one)} begins afresh: {error}", file=sys.stderr)
            result = run(one | {"ckpt": None}, job.cell.origin, job.labels, job.reuse)
    except TakenError as error:
        return TAKEN, str(error)
    return result.outcome, outcome_line(result)


def _settings(job: Job, threads: int) -> dict[str, Any]:
    """Of a cell's run: no bar, its share of the cores, its checkpoint if there is one."""
    settings = job.cell.settings | {"progress": False}
    settings["trainer"] = settings["trainer"] | {"threads": settings["trainer"]["threads"] or threads}
    if job.cell.film:
        artifacts = [*settings["tracking"]["artifacts"], "states"]
        settings["tracking"] = settings["tracking"] | {"artifacts": artifacts}
    interrupted = Path(checkpoint_folder(settings) / LAST).is_file()
    return settings | {"ckpt": "last" if interrupted else None}

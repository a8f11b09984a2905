"""One cell, or several as replicas, in whatever process they are given to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import ReplicasError, ResumeError
from src.study.grid import Cell
from src.train.identity import LAST, checkpoint_folder


@dataclass(frozen=True)
class Job:
    """A cell and what its run is labelled with."""

    cell: Cell
    labels: dict[str, str]


def work(jobs: tuple[Job, ...], threads: int) -> tuple[str, str]:
    """Train cells, from their checkpoints if they were interrupted; in halves where they do not fit in memory at once.

    Returns:
        The outcome and, of one, accuracy and verdict, of several, the mean accuracy and how many there are of each
        outcome.
    """
    from src.train.replicas import run_replicas
    from src.train.run import run
    from src.train.summary import outcome_line, spread_of

    settings = [_settings(job, threads) for job in jobs]
    if len(jobs) > 1:
        labels = [job.labels for job in jobs]
        try:
            results = list(run_replicas(settings, [job.cell.origin for job in jobs], labels, restart=True))
        except ReplicasError:
            half = len(jobs) // 2
            (outcome, first), (_, second) = work(jobs[:half], threads), work(jobs[half:], threads)
            return outcome, f"{first}; {second}"
        return results[0].outcome, spread_of(results)
    (job,), (one,) = jobs, settings
    try:
        result = run(one, job.cell.origin, job.labels)
    except ResumeError:
        result = run(one | {"ckpt": None}, job.cell.origin, job.labels)
    return result.outcome, outcome_line(result)


def _settings(job: Job, threads: int) -> dict[str, Any]:
    """Of a cell's run: no bar, its share of the cores, its checkpoint if there is one."""
    settings = job.cell.settings | {"progress": False}
    share = max(1, threads // settings["trainer"]["devices"])
    settings["trainer"] = settings["trainer"] | {"threads": settings["trainer"]["threads"] or share}
    if job.cell.film:
        artifacts = [*settings["tracking"]["artifacts"], "states"]
        settings["tracking"] = settings["tracking"] | {"artifacts": artifacts}
    interrupted = Path(checkpoint_folder(settings) / LAST).is_file()
    return settings | {"ckpt": "last" if interrupted else None}

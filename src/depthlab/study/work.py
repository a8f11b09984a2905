"""Trains one run, or several as replicas, in a worker process."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from depthlab.config.errors import ReplicasError, ResumeError, TakenError
from depthlab.config.schema import Settings
from depthlab.study.grid import PlannedRun
from depthlab.training.identity import LAST, checkpoint_folder
from depthlab.training.run_name import run_name

TAKEN = "taken"  # outcome of a run that another command trains or has trained


@dataclass(frozen=True)
class Job:
    """A planned run with the labels of its record.

    Attributes:
        labels: tags of the recorded run.
        reuse: which earlier results count: `any_code` or `same_code`.
    """

    run: PlannedRun
    labels: dict[str, str]
    reuse: str = "any_code"


def work(jobs: tuple[Job, ...], threads: int) -> tuple[str, str]:
    """Train runs, from their checkpoints if they were interrupted; in halves if they do not fit in memory at once.

    Returns:
        The outcome, and a summary: accuracy and verdict of one run, or the mean accuracy and the number of runs by
        outcome. The outcome is `taken` if another command trains a run.
    """
    from depthlab.training.replicas import run_replicas
    from depthlab.training.run import run
    from depthlab.training.summary import outcome_line, spread_of

    settings = [_settings(job, threads) for job in jobs]
    if len(jobs) > 1:
        labels = [job.labels for job in jobs]
        try:
            results = list(run_replicas(settings, [job.run.provenance for job in jobs], labels, jobs[0].reuse))
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
            result = run(one, job.run.provenance, job.labels, job.reuse)
        except ResumeError as error:
            print(f"{run_name(one)} starts again: {error}", file=sys.stderr)
            result = run(replace(one, ckpt=None), job.run.provenance, job.labels, job.reuse)
    except TakenError as error:
        return TAKEN, str(error)
    return result.outcome, outcome_line(result)


def _settings(job: Job, threads: int) -> Settings:
    """The settings to train with: no progress bar, a share of the cores, the checkpoint if there is one."""
    settings = job.run.settings
    if job.run.animated:
        settings = settings.with_tracking(artifacts=[*settings.tracking.artifacts, "states"])
    trainer = replace(settings.trainer, threads=settings.trainer.threads or threads)
    interrupted = Path(checkpoint_folder(settings) / LAST).is_file()
    return replace(settings, progress=False, trainer=trainer, ckpt="last" if interrupted else None)

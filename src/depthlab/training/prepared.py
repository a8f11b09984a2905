"""The experiment that a process trains, and the checkpoint that it resumes from."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import torch

from depthlab.config.schema import Settings, TrainerSettings
from depthlab.training.checkpoint import read_checkpoint
from depthlab.training.experiment import Experiment, experiment
from depthlab.training.identity import identity_of, resumable
from depthlab.training.ranks import check_same
from depthlab.training.user_callbacks import check_callbacks


def use_threads(trainer: TrainerSettings) -> None:
    """Set the number of threads: `trainer.threads`; if null, the ranks of a machine share its cores."""
    given = _given()
    shared = max(1, joblib.cpu_count() // trainer.devices) if trainer.devices > 1 else None
    torch.set_num_threads(trainer.threads or shared or given)


@functools.cache
def _given() -> int:
    """Number of threads before the first run of this process, which later runs of a multirun restore."""
    return torch.get_num_threads()


@dataclass(frozen=True)
class Prepared:
    """An experiment and the checkpoint that it resumes from.

    Attributes:
        experiment: data, task and network.
        identity: hashes that must agree with those of the checkpoint.
        checkpoint, content: file and content of the checkpoint to resume, or None.
    """

    experiment: Experiment
    identity: dict[str, str]
    checkpoint: Path | None
    content: dict[str, Any] | None


def prepare(settings: Settings, folder: Path) -> Prepared:
    """Experiment and checkpoint; every rank of a `trainer=ddp` run prepares its own.

    Raises:
        UserError: data cannot be used, there is no checkpoint to resume (`ResumeError`: it belongs to a run with other
            settings, data or code), or the data, settings or code of another rank differ.
    """
    made = experiment(settings)
    check_callbacks(settings)  # before anything is recorded
    identity = identity_of(settings, made.data.rewired.data_hash)
    checkpoint = resumable(settings.ckpt, folder, settings.model.module)
    content = read_checkpoint(checkpoint, identity) if checkpoint else None
    if settings.trainer.strategy == "ddp":
        check_same(identity)
    return Prepared(made, identity, checkpoint, content)

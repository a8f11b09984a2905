"""What the processes of a run do together at the end of an epoch."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from depthlab.training.callbacks import Evaluation


class Silent:
    """The record of a process that records nothing."""

    name = run_id = ""

    def last_step(self, metric: str) -> int:
        return -1

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Process 0 records."""


class Agreement(Evaluation):
    """Process 0 validates while the others wait; then all have its scores.

    So whatever a callback decides by the scores, all decide alike. `train_loss` is the mean over processes, each of
    which weighs the losses of its nodes so that this is the mean over the nodes of a batch.

    Args:
        batches: whose `validation` process 0 evaluates.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        model.scores["train_loss"] = trainer.strategy.reduce(model.scores["train_loss"], reduce_op="mean")
        if trainer.is_global_zero:
            super().on_train_epoch_end(trainer, model)
        scores = trainer.strategy.broadcast({name: float(value) for name, value in model.scores.items()})
        model.scores = {name: model.scores["train_loss"].new_tensor(value) for name, value in scores.items()}

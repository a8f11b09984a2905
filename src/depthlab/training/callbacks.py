"""Callbacks at the end of an epoch: validate, keep the best weights, stop early, record and save."""

import math
import time
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.batches import Batches
from depthlab.tasks.metrics import higher_is_better
from depthlab.tracking.record import EpochRecord
from depthlab.training.optimizer import step_scheduler
from depthlab.training.signals import restore_sigterm, stop_handler


class Training(Protocol):
    """The callbacks whose state is read after training."""

    @property
    def best(self) -> "BestState": ...

    @property
    def recorder(self) -> "Recorder": ...

    @property
    def first(self) -> "FirstEpoch": ...


class Evaluation(Callback):
    """Validates at the end of every epoch. Lightning's own validation loop would add a millisecond.

    With several ranks, the main rank validates and broadcasts the scores, so that all stop at the same epoch.
    `train_loss` is the mean over ranks; each rank weights its losses so that this is the mean over the batch's nodes.

    Args:
        batches: `batches.validation` is the argument of the model's `validation_step`.
        publish: whether to set `trainer.callback_metrics` for the user's callbacks.
    """

    def __init__(self, batches: Batches, publish: bool = False) -> None:
        self.batches, self.publish = batches, publish

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        if trainer.world_size > 1:
            model.scores["train_loss"] = trainer.strategy.reduce(model.scores["train_loss"], reduce_op="mean")
        if trainer.is_global_zero:
            model.eval()
            with torch.inference_mode():
                model.validation_step(self.batches.validation)
            model.train()
        if trainer.world_size > 1:
            scores = trainer.strategy.broadcast({name: float(value) for name, value in model.scores.items()})
            model.scores = {name: model.scores["train_loss"].new_tensor(value) for name, value in scores.items()}
        if self.publish:
            trainer.callback_metrics.update(model.scores)


class Schedule(Callback):
    """Step the learning rate scheduler after every epoch, and record the learning rate of the epoch as `lr`.

    Lightning would step before the validation of the epoch or after its checkpoint.

    Args:
        monitor: the score that `plateau` follows.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        for config in trainer.lr_scheduler_configs:
            model.scores["lr"] = torch.tensor(config.scheduler.get_last_lr()[0])
            step_scheduler(config.scheduler, float(model.scores[self.monitor]))


class BestState(Callback):
    """Keeps the weights of the best epoch in memory and stops after `patience` epochs without improvement.

    Lightning's EarlyStopping and ModelCheckpoint do the same with a file written at every improvement, which costs
    more than the epoch of a small network.

    Args:
        monitor: recorded name of the loss or of a metric.
        patience: epochs without improvement before stopping.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        self.monitor, self.patience = monitor, patience
        self.sign = 1.0 if higher_is_better(monitor) else -1.0
        self.best, self.epoch = -math.inf, -1
        self.weights: dict[str, Tensor] = {}
        self.diverged = self.stopped = False

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        if not self.weights:  # for a run that diverges in its first epoch
            self._keep(model)

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        losses = [float(model.scores[name]) for name in ("train_loss", "val_loss")]
        if not all(map(math.isfinite, losses)):
            self.diverged = self.stopped = trainer.should_stop = True
            return
        score = self.sign * float(model.scores[self.monitor])
        if math.isnan(score):
            raise UserError(
                f"monitor={self.monitor} is undefined on these nodes, so it cannot select a state: use monitor=val_loss"
            )
        if score > self.best:
            self.best, self.epoch = score, trainer.current_epoch
            self._keep(model)
        elif trainer.current_epoch - self.epoch >= self.patience:
            self.stopped = trainer.should_stop = True

    def _keep(self, model: Any) -> None:
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        flags = {"diverged": self.diverged, "stopped": self.stopped}
        return {"best": self.best, "epoch": self.epoch, "weights": self.weights, **flags}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.epoch, self.weights = state_dict["best"], state_dict["epoch"], state_dict["weights"]
        self.diverged, self.stopped = state_dict["diverged"], state_dict["stopped"]


class Recorder(Callback):
    """Sends the metrics of every epoch to the tracked run, with step = epoch, each exactly once.

    Checkpoints contain the full history, so a resumed run sends what a killed run had not sent.

    Args:
        tracked: the run that records.
        identity: hashes that a resumed run must share with the checkpoint.
    """

    def __init__(self, tracked: EpochRecord, identity: dict[str, str]) -> None:
        self.tracked, self.identity = tracked, identity
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        self._started = time.perf_counter() - self.seconds
        self.replay()

    def replay(self) -> None:
        """Send the epochs of a restored history that the record lacks."""
        self.tracked.replay(self.history)

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        values = {name: float(value) for name, value in model.scores.items()}
        self.history.append(values)
        self.tracked.log_epoch(values, trainer.current_epoch)
        self.seconds = time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "seconds": self.seconds, "run_id": self.tracked.run_id, **self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self.seconds = state_dict["history"], state_dict["seconds"]


class FirstEpoch(Callback):
    """Calls a function before the first training step and after the first epoch; checkpoints contain both results.

    Attributes:
        start: before the first step; empty if an older version started the run.
        result: after the first epoch.
    """

    def __init__(self, measure: Any) -> None:
        self.measure = measure
        self.start: list[float] = []
        self.result: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        if trainer.current_epoch == 0:
            self.start = self.measure()

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        if trainer.current_epoch == 0:
            self.result = self.measure()

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "result": self.result}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.start, self.result = state_dict.get("start", []), state_dict["result"]


class Saver(Checkpoint):
    """Writes a checkpoint every `every` epochs, after the last epoch, and after the epoch in which Ctrl-C comes.

    The last checkpoint says whether a callback, such as a user's EarlyStopping, stopped the training early.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self.requested = self.stopped = False
        self.handler = stop_handler(self.interrupt)

    def interrupt(self) -> None:
        """End after this epoch."""
        self.requested = True

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        restore_sigterm(self.handler)

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        interrupted = trainer.strategy.broadcast(self.requested)  # signals reach ranks in different epochs
        if interrupted or (trainer.current_epoch + 1) % self.every == 0:
            self._save(trainer)
        if interrupted:
            raise KeyboardInterrupt

    def on_train_end(self, trainer: pl.Trainer, model: Any) -> None:
        self.stopped = trainer.should_stop
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"stopped": self.stopped}

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)  # every rank takes part, the main one writes

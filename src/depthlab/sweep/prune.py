"""Pruning of trials: Optuna's pruners by name, and the values that a trial reports to them."""

import copy
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import optuna
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from depthlab.sweep.queue import PRUNED
from depthlab.tasks.metrics import shown_score
from depthlab.training.fit import Fit

REPORT_EVERY = 20  # epochs: reading the other trials takes some milliseconds
STARTUP_TRIALS, WARMUP_EPOCHS = 8, 60  # of the median pruner: a trial that is behind so early may still win


class _LatestMedian(optuna.pruners.MedianPruner):
    """Compares a trial's latest report: Optuna's pruner compares the best one, which is wrong for running means."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        latest = copy.copy(trial)
        step = trial.last_step
        latest.intermediate_values = {} if step is None else {step: trial.intermediate_values[step]}
        return super().prune(study, latest)


def make_pruner(name: str, epochs: int, trainings: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner by its name in conf/sweep.yaml, for trials with this number of trainings."""
    if name == "median":
        return _LatestMedian(STARTUP_TRIALS, WARMUP_EPOCHS, n_min_trials=STARTUP_TRIALS // 2)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=WARMUP_EPOCHS, max_resource=(epochs + 1) * trainings)
    return optuna.pruners.NopPruner()


class Reporter:
    """Reports values of a trial to its pruner; a resumed trial repeats neither reports nor decisions.

    Args:
        trial: with its reports from before an interruption.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.last_step = trial.storage.get_trial(trial._trial_id).last_step or -1

    def report(self, value: float, step: int, where: str) -> str:
        """Report a value; returns where the trial was pruned, or an empty string if it continues.

        Args:
            value: of the objective so far.
            step: epochs so far, over all trainings.
            where: the training and epoch, to record if the trial is pruned now.
        """
        pruned = str(self.trial.user_attrs.get(PRUNED, ""))
        if pruned or step < self.last_step:
            return pruned
        if step > self.last_step:
            self.trial.report(value if math.isfinite(value) else math.nan, step)
        if not self.trial.should_prune():
            return ""
        self.trial.set_user_attr(PRUNED, where)
        return where


class PruneCallback(Callback):
    """Reports the mean objective of the trainings so far, with the best epoch of this one, and ends a pruned training.

    Args:
        objective: name of the reported metric.
        before: its values in the trainings before this one.
        offset: step at which this training begins.
        training: `training 2 of 3`, to record where the trial is pruned.

    Attributes:
        pruned: where the trial was pruned; empty while it continues.
        fit: of this training; has to be set before it begins.
    """

    def __init__(self, reporter: Reporter, objective: str, before: Sequence[float], offset: int, training: str) -> None:
        self.reporter, self.objective, self.before = reporter, objective, before
        self.offset, self.training, self.pruned = offset, training, ""
        self.fit: Fit

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % REPORT_EVERY or self.fit.best.diverged:
            return
        value = fmean([*self.before, self.fit.recorder.history[self.fit.best.epoch][self.objective]])
        where = f"{self.training}, at epoch {epoch} with {shown_score(self.objective, value)}"
        self.pruned = self.reporter.report(value, self.offset + epoch, where)
        trainer.should_stop = trainer.should_stop or bool(self.pruned)

"""Which trials are ended early: pruners by name, and what they are shown of a trial."""

import copy
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import optuna
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from src.sweep.storage import PRUNED
from src.train.fit import Fit

REPORT_EVERY = 20  # epochs: looking at the other trials costs some milliseconds
STARTUP_TRIALS, WARMUP_EPOCHS = 8, 60  # of the median pruner: what falls behind that early may still win


class _LatestMedian(optuna.pruners.MedianPruner):
    """Optuna's pruner compares a trial's best report ever; of running means the latest says how it stands."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        latest = copy.copy(trial)
        step = trial.last_step
        latest.intermediate_values = {} if step is None else {step: trial.intermediate_values[step]}
        return super().prune(study, latest)


def make_pruner(name: str, epochs: int, trainings: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner of a name in conf/sweep.yaml, for trials of so many trainings."""
    if name == "median":
        return _LatestMedian(STARTUP_TRIALS, WARMUP_EPOCHS, n_min_trials=STARTUP_TRIALS // 2)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=WARMUP_EPOCHS, max_resource=(epochs + 1) * trainings)
    return optuna.pruners.NopPruner()


class Judge:
    """Reports values of a trial to its pruner. What was decided before an interruption is not decided again.

    Args:
        trial: with the reports of its earlier starts, which end at the one that was being judged.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.known = trial.storage.get_trial(trial._trial_id).last_step or -1

    def prunes(self, value: float, step: int, where: str) -> str:
        """Where the trial is pruned, or nothing if it goes on.

        Args:
            value: of the objective so far.
            step: epochs so far, over all trainings.
            where: to record, if it is pruned here.
        """
        pruned = str(self.trial.user_attrs.get(PRUNED, ""))
        if pruned or step < self.known:
            return pruned
        if step > self.known:
            self.trial.report(value if math.isfinite(value) else math.nan, step)
        if not self.trial.should_prune():
            return ""
        self.trial.set_user_attr(PRUNED, where)
        return where


class Watch(Callback):
    """Reports the mean of the trainings so far, with that of the best epoch of this one, and ends what is behind.

    Args:
        objective: name of what is reported.
        before: its values of the trainings before this one.
        first: step at which this training begins.
        training: `training 2 of 3`, to record where the trial is pruned.
    """

    def __init__(self, judge: Judge, objective: str, before: Sequence[float], first: int, training: str) -> None:
        self.judge, self.objective, self.before, self.first, self.training = judge, objective, before, first, training
        self.behind = ""
        self.fit: Fit

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % REPORT_EVERY or self.fit.best.diverged:
            return
        value = fmean([*self.before, self.fit.recorder.history[self.fit.best.epoch][self.objective]])
        self.behind = self.judge.prunes(value, self.first + epoch, f"{self.training}, at epoch {epoch} at {value:.4g}")
        trainer.should_stop = trainer.should_stop or bool(self.behind)

"""One trial: trainings with the same hyperparameters, pruned if they fall behind. The test set is never read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import optuna
import torch
import yaml
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.config.settings import flatten, to_dict
from depthlab.sweep.prune import PruneCallback, Reporter, make_pruner
from depthlab.sweep.queue import REASON, RUN, TRAINING, is_owned, requeue
from depthlab.sweep.storage import open_storage
from depthlab.sweep.training import TrialEndingError, train
from depthlab.tasks.metrics import shown_score
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Records
from depthlab.training.device import with_available_device
from depthlab.training.fit import quiet_libraries
from depthlab.training.signals import deferred_signals, interruptible


@dataclass(frozen=True)
class Task:
    """A trial to run.

    Attributes:
        storage, study: address and name of Optuna's study.
        pruner: name in conf/sweep.yaml.
        number, trial_id: Optuna's own.
        owner: address of the command that the trial belongs to.
        objectives: names of the values to optimise.
        params: the hyperparameters.
        settings: of each training.
        parent: run of the sweep in MLflow.
    """

    storage: str
    study: str
    pruner: str
    number: int
    trial_id: int
    owner: dict[str, str] | None
    objectives: tuple[str, ...]
    params: dict[str, Any]
    settings: list[Settings]
    parent: str


class _TakenOverError(Exception):
    """Another machine took this trial over, since its command seemed dead."""


def work(task: Task, threads: int) -> tuple[str, str]:
    """Run a trial and tell the study its result; returns the outcome and a reason or the values."""
    quiet_libraries()
    task = replace(task, settings=[with_available_device(settings) for settings in task.settings])
    torch.set_num_threads(task.settings[0].trainer.threads or threads)
    pruner = make_pruner(task.pruner, task.settings[0].epochs, len(task.settings))
    sampler = optuna.samplers.RandomSampler()  # samples nothing here
    storage = open_storage(task.storage)
    study = optuna.load_study(study_name=task.study, storage=storage, sampler=sampler, pruner=pruner)
    frozen = storage.get_trial(task.trial_id)
    if frozen.state.is_finished():  # its process was killed after telling the study, before telling the command
        return _result_of(frozen, task.objectives)
    trial = optuna.trial.Trial(study, task.trial_id)
    taken_over = "taken over", f"another command runs trial {task.number} again"
    tracked = None
    with deferred_signals():  # from an error to the end of the trial's record
        try:
            with interruptible():
                with deferred_signals():  # close a created run in any case
                    tracked = _open_run(task, frozen)
                    trial.set_user_attr(RUN, tracked.run_id)
                if "config" in task.settings[0].tracking.artifacts:
                    tracked.text(
                        yaml.safe_dump([to_dict(settings) for settings in task.settings], sort_keys=False),
                        "config.yaml",
                    )
                outcome, reason, values = _run_trainings(task, trial, tracked)
                _check_owned(task, trial)
                for objective, value in zip(task.objectives, values, strict=False):
                    tracked.log({f"mean/{objective}": value})
                tracked.tag({"reason": reason})
                tracked.finish("FINISHED", outcome)
        except KeyboardInterrupt:
            if tracked:
                tracked.abandon("KILLED", "interrupted")
            requeue(study, task.trial_id, task.owner)
            raise
        except (UpdateFinishedTrialError, _TakenOverError):
            if tracked:
                tracked.abandon("KILLED", "interrupted")
            return taken_over
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            if tracked:
                tracked.abandon("FAILED", "failed", message)
            if isinstance(error, UserError | OSError):  # of the store or the disk, not of these settings
                requeue(study, task.trial_id, task.owner)
            else:
                tell_failed(study, task, message)
            raise
    try:
        if outcome == "finished":
            study.tell(task.number, values if len(values) > 1 else values[0])
        else:
            trial.set_user_attr(REASON, reason)
            study.tell(task.number, state=TrialState.PRUNED if len(task.objectives) == 1 else TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        return taken_over
    return outcome, reason


def _open_run(task: Task, trial: FrozenTrial) -> TrackedRun:
    """The trial's run in MLflow; that of its last start, which has curves of finished trainings, is resumed."""
    tracking = task.settings[0].tracking
    records = Records(tracking.store, tracking.experiment)
    resumed = None
    condition = f"tags.kind = 'trial' and tags.sweep = '{task.study}' and tags.trial = '{task.number}'"
    for run in records.runs(condition):
        if run.tags.get(PARENT) != task.parent:
            continue
        if run.run_id == trial.user_attrs.get(RUN):
            resumed = run.run_id
        else:  # of a process that was killed before it stored the run's id in the trial
            records.delete(run.run_id)
    tags = {"kind": "trial", "sweep": task.study, "trial": str(task.number), PARENT: task.parent, "outcome": "running"}
    name = f"{task.study}: trial {task.number}"
    return TrackedRun(tracking.store, tracking.experiment, name, flatten(to_dict(task.settings[0])), tags, resumed)


def _result_of(trial: FrozenTrial, objectives: Sequence[str]) -> tuple[str, str]:
    """What `work` returns for a trial that has ended."""
    if trial.state == TrialState.COMPLETE:
        return "finished", _format_values(objectives, trial.values)
    return "pruned" if trial.state == TrialState.PRUNED else "failed", str(trial.user_attrs.get(REASON, "unknown"))


def _format_values(objectives: Sequence[str], values: Sequence[float]) -> str:
    return ", ".join(f"{name} {shown_score(name, value)}" for name, value in zip(objectives, values, strict=True))


def label(settings: Settings) -> str:
    """`split0-s1`: a training among those of its trial."""
    return f"split{settings.split_name}-s{settings.seed}"


def tell_failed(study: optuna.Study, task: Task, reason: str) -> bool:
    """Mark a trial as failed after a defect or a killed process; returns False if it was queued again instead."""
    frozen = study._storage.get_trial(task.trial_id)
    if is_owned(frozen, task.owner):
        study._storage.set_trial_user_attr(task.trial_id, REASON, reason)
        study.tell(frozen.number, state=TrialState.FAIL)
        return True
    return frozen.state.is_finished()


def _check_owned(task: Task, trial: optuna.Trial) -> None:
    if not is_owned(trial.storage.get_trial(task.trial_id), task.owner):
        raise _TakenOverError


def _run_trainings(task: Task, trial: optuna.Trial, tracked: TrackedRun) -> tuple[str, str, list[float]]:
    """Run one training after the other; returns outcome, reason and the means of the objectives."""
    results: list[Mapping[str, float]] = []
    reporter = Reporter(trial)
    objective = task.objectives[0]
    prunable = len(task.objectives) == 1  # Optuna prunes by one objective only
    for k, settings in enumerate(task.settings):
        training = f"training {k + 1} of {len(task.settings)}"
        steps = settings.epochs + 1
        scores = trial.user_attrs.get(f"{TRAINING} {k}")
        if scores is None:
            before = [result[objective] for result in results]
            pruning = PruneCallback(reporter, objective, before, k * steps, training) if prunable else None
            try:
                scores = train(settings, task.objectives, tracked, label(settings), pruning)
            except TrialEndingError as ending:
                return ending.outcome, str(ending) if ending.outcome == "pruned" else f"{training}, {ending}", []
            _check_owned(task, trial)
            trial.set_user_attr(f"{TRAINING} {k}", scores)
        results.append(scores)
        if prunable and k + 1 < len(task.settings):
            value = fmean(result[objective] for result in results)
            where = f"after {training} with {shown_score(objective, value)}"
            if pruned := reporter.report(value, (k + 1) * steps, where):
                return "pruned", pruned, []
    values = [fmean(result[name] for result in results) for name in task.objectives]
    return "finished", _format_values(task.objectives, values), values

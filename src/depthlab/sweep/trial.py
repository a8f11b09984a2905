"""One trial: the trainings of one setting, pruned where it falls behind. The test set is never read."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import torch
import yaml
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from depthlab.config.errors import UserError
from depthlab.config.settings import flatten
from depthlab.data.prepare import load
from depthlab.measures.layers import layer_measures
from depthlab.nn.execution import states
from depthlab.sweep.prune import Judge, Watch, make_pruner
from depthlab.sweep.storage import POINT, REASON, RUN, give_back, is_owned, open_storage
from depthlab.tracking.names import EPOCH
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Records
from depthlab.training.device import on_what_is_here
from depthlab.training.experiment import experiment
from depthlab.training.fit import make_fit, quiet_libraries
from depthlab.training.signals import deferred_signals


@dataclass(frozen=True)
class Task:
    """A trial to be run.

    Attributes:
        storage, study: where it is stored.
        pruner: name in conf/sweep.yaml.
        number, trial_id: of the trial, Optuna's own.
        owner: address of the command that it belongs to.
        objectives: the metrics of each training to optimise.
        params: values of the hyperparameters.
        settings: of each of its trainings.
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
    settings: list[dict[str, Any]]
    parent: str


class _EndingError(Exception):
    """A training has ended its trial.

    Args:
        outcome: `pruned`, `diverged`, `refused` (the network cannot work with these settings) or `undefined` (an
            objective is not a number).
        sentence: the place or the reason.
    """

    def __init__(self, outcome: str, sentence: str) -> None:
        super().__init__(sentence)
        self.outcome = outcome


class _TakenOverError(Exception):
    """Another machine took this trial over, because its command seemed dead."""


def work(task: Task, threads: int) -> tuple[str, str]:
    """Do a trial and tell the study how it ended; returns its outcome and a sentence."""
    quiet_libraries()
    task = replace(task, settings=[on_what_is_here(settings) for settings in task.settings])
    torch.set_num_threads(task.settings[0]["trainer"]["threads"] or threads)
    pruner = make_pruner(task.pruner, task.settings[0]["epochs"], len(task.settings))
    sampler = optuna.samplers.RandomSampler()  # samples nothing here
    storage = open_storage(task.storage)
    study = optuna.load_study(study_name=task.study, storage=storage, sampler=sampler, pruner=pruner)
    before = storage.get_trial(task.trial_id)
    if before.state.is_finished():  # its process was killed before the end was heard of
        return _ended(before, task.objectives)
    trial = optuna.trial.Trial(study, task.trial_id)
    tracking = task.settings[0]["tracking"]
    own = f"tags.kind = 'trial' and tags.sweep = '{task.study}' and tags.trial = '{task.number}'"
    records = Records(tracking["uri"], tracking["experiment"])
    begun = None  # the run of this trial's last start has the curves of its finished trainings
    for run in records.runs(own):
        if run.tags.get(PARENT) != task.parent:
            continue
        if run.run_id == before.user_attrs.get(RUN):
            begun = run.run_id
        else:  # of a process that was killed before it stored the run's id in the trial
            records.delete(run.run_id)
    tags = {"kind": "trial", "sweep": task.study, "trial": str(task.number), PARENT: task.parent, "outcome": "running"}
    name = f"{task.study}: trial {task.number}"
    taken_over = "taken over", f"another command does trial {task.number} again"
    tracked = None
    try:
        with deferred_signals():  # a run that was created is closed, whatever comes
            tracked = TrackedRun(tracking["uri"], tracking["experiment"], name, flatten(task.settings[0]), tags, begun)
            trial.set_user_attr(RUN, tracked.run_id)
        if "config" in tracking["artifacts"]:
            tracked.text(yaml.safe_dump(task.settings, sort_keys=False), "config.yaml")
        outcome, sentence, values = _trainings(task, trial, tracked)
        _check_owned(task, trial)
        for objective, value in zip(task.objectives, values, strict=False):
            tracked.log({f"mean/{objective}": value})
        tracked.tag({"reason": sentence})
        tracked.finish("FINISHED", outcome)
    except KeyboardInterrupt:
        if tracked:
            tracked.abandon("KILLED", "interrupted")
        give_back(study, task.trial_id, task.owner)
        raise
    except (UpdateFinishedTrialError, _TakenOverError):
        if tracked:
            tracked.abandon("KILLED", "interrupted")
        return taken_over
    except BaseException as error:
        if tracked:
            tracked.abandon("FAILED", "failed", f"{type(error).__name__}: {error}")
        if isinstance(error, UserError | OSError):  # of the store or the disk, not of these settings
            give_back(study, task.trial_id, task.owner)
        else:
            tell_failed(study, task, f"{type(error).__name__}: {error}")
        raise
    try:
        if outcome == "finished":
            study.tell(task.number, values if len(values) > 1 else values[0])
        else:
            trial.set_user_attr(REASON, sentence)
            study.tell(task.number, state=TrialState.PRUNED if len(task.objectives) == 1 else TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        return taken_over
    return outcome, sentence


def _ended(trial: optuna.trial.FrozenTrial, objectives: Sequence[str]) -> tuple[str, str]:
    """Outcome and sentence of a trial that has ended."""
    if trial.state == TrialState.COMPLETE:
        return "finished", _said(objectives, trial.values)
    return "pruned" if trial.state == TrialState.PRUNED else "failed", str(trial.user_attrs.get(REASON, "unknown"))


def _said(objectives: Sequence[str], values: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, values, strict=True))


def label(settings: Mapping[str, Any]) -> str:
    """`split0-s1`: a training among those of its trial."""
    place = f"random{settings['split_seed']}" if settings["split"] == "random" else settings["split"]
    return f"split{place}-s{settings['seed']}"


def tell_failed(study: optuna.Study, task: Task, reason: str) -> bool:
    """Close a trial that a defect, or a killed process, has ended; returns False if it was given back instead."""
    frozen = study._storage.get_trial(task.trial_id)
    if is_owned(frozen, task.owner):
        study._storage.set_trial_user_attr(task.trial_id, REASON, reason)
        study.tell(frozen.number, state=TrialState.FAIL)
        return True
    return frozen.state.is_finished()


def _check_owned(task: Task, trial: optuna.Trial) -> None:
    if not is_owned(trial.storage.get_trial(task.trial_id), task.owner):
        raise _TakenOverError


def _trainings(task: Task, trial: optuna.Trial, tracked: TrackedRun) -> tuple[str, str, list[float]]:
    """One training after the other; returns outcome, sentence and the means of the objectives."""
    found: list[Mapping[str, float]] = []
    judge = Judge(trial)
    single = len(task.objectives) == 1  # Optuna prunes by one objective alone
    for k, settings in enumerate(task.settings):
        training = f"training {k + 1} of {len(task.settings)}"
        scores = trial.user_attrs.get(f"{POINT} {k}")
        if scores is None:
            before = [one[task.objectives[0]] for one in found]
            watch = Watch(judge, task.objectives[0], before, k * (settings["epochs"] + 1), training) if single else None
            try:
                scores = train(settings, task.objectives, tracked, label(settings), watch)
            except _EndingError as ending:
                return ending.outcome, f"{training}, {ending}" if ending.outcome != "pruned" else str(ending), []
            _check_owned(task, trial)
            trial.set_user_attr(f"{POINT} {k}", scores)
        found.append(scores)
        if single and k + 1 < len(task.settings):
            value = fmean(one[task.objectives[0]] for one in found)
            if pruned := judge.prunes(value, (k + 1) * (settings["epochs"] + 1), f"after {training} at {value:.4g}"):
                return "pruned", pruned, []
    values = [fmean(one[name] for one in found) for name in task.objectives]
    return "finished", _said(task.objectives, values), values


def train(
    settings: dict[str, Any], objectives: Sequence[str], tracked: TrackedRun, label: str, watch: Watch | None = None
) -> dict[str, float]:
    """Train once; returns the scores of the selected epoch, on validation data, and what else is an objective.

    Args:
        tracked: gets the curves by epoch as `LABEL/val_acc`.
        watch: may end the training.
    """
    load(settings["dataset"])  # a file that cannot be read is no fault of these settings
    try:
        made = experiment(settings)
    except UserError as error:
        raise _EndingError("refused", str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        quiet = settings | {"progress": False}
        curves, extra = _Curves(tracked, label), [watch] if watch else []
        fit = make_fit(quiet, made.module, made.batches, curves, Path(folder), {}, extra)
        if watch:
            watch.fit = fit
        fit.run(made.module)
    if watch and watch.behind:
        raise _EndingError("pruned", watch.behind)
    if fit.best.diverged:
        raise _EndingError("diverged", f"at epoch {len(fit.recorder.history)}")
    scores = fit.recorder.history[fit.best.epoch] | {"seconds": fit.recorder.seconds}
    if "dirichlet_energy" in objectives:
        model, graph = made.module.eval(), made.graph
        model.load_state_dict(fit.best.weights)
        seen = states(model.network, graph.x, graph.layers)
        energies = layer_measures(seen, graph.undirected_edges, ["dirichlet_energy"], graph.num_nodes)
        scores["dirichlet_energy"] = energies["dirichlet_energy"][-1]
    for name in objectives:
        if math.isnan(scores[name]):  # Optuna refuses NaN
            raise _EndingError("undefined", f"{name} is not a number")
    return scores


class _Curves:
    """Writes the curves of a training to the trial's run, under the training's name.

    An interrupted training starts again from the beginning: steps that the run already has are not sent.
    """

    def __init__(self, tracked: TrackedRun, label: str) -> None:
        self.tracked, self.label = tracked, label
        self.run_id, self.name = tracked.run_id, f"{tracked.name} {label}"
        self._known: dict[str, int] = {}

    def last_step(self, metric: str) -> int:
        return -1  # each training is recorded from its start

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        named = {f"{self.label}/{name.removeprefix(EPOCH)}": value for name, value in metrics.items()}
        if self.tracked.resumed:
            for name in named.keys() - self._known.keys():
                self._known[name] = self.tracked.last_step(name)
        self.tracked.log({name: value for name, value in named.items() if step > self._known.get(name, -1)}, step)

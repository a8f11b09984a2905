"""The queue of a sweep's trials: each is asked for once and has one owner, the command that runs it.

If that command is interrupted or killed, the trial is queued again with its number, parameters, reports and finished
trainings, and is the next one to run. So neither numbers nor seeds nor what samplers and pruners see depend on
interruptions.
"""

import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from depthlab.sweep.space import Range
from depthlab.text import file_name

HEARTBEAT_SECONDS, DEAD_SECONDS = 30.0, 300.0  # between two heartbeats; without one, until another machine takes over
UNOWNED_SECONDS = 10.0  # between asking for a trial and recording its owner, on a slow network
STARTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
OWNER, REASON, TRAINING, PRUNED, RUN = "owner", "reason", "training", "pruned", "run_id"
FIXED = "fixed_params"  # the key under which Optuna's `enqueue_trial` stores parameters


def distribution(values: Range) -> BaseDistribution:
    """Optuna's distribution for a range."""
    if values.choices:
        return CategoricalDistribution(list(values.choices))
    kind = IntDistribution if values.is_integer else FloatDistribution
    return kind(values.low, values.high, log=values.log)  # type: ignore[arg-type]


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended, in any state."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def ask(
    study: optuna.Study, space: Mapping[str, Range], trials: int, sampler: Any, owner: "Owner"
) -> optuna.Trial | None:
    """The next trial with its parameters, or None if enough have started.

    Args:
        trials: how many may start.
        sampler: number of a trial -> Optuna's sampler, so that two commands never draw the same random numbers.
    """
    recover(study, owner)
    if len(study.get_trials(deepcopy=False, states=STARTED)) >= trials:
        return None
    with owner.lock:
        trial = study.ask()
        trial.set_user_attr(OWNER, owner.address)
    if trial.number >= trials:  # another machine asked for the last one at the same moment
        requeue(study, trial._trial_id, owner.address)
        return None
    study.sampler = sampler(trial.number)
    return _with_values(study, trial, {key: distribution(values) for key, values in space.items()})


def _with_values(study: optuna.Study, trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> optuna.Trial:
    """Sample the parameters of a trial that has none; one write stores all of them, so a kill cannot leave some."""
    frozen, sampler = study._storage.get_trial(trial._trial_id), study.sampler
    if FIXED not in frozen.system_attrs:
        drawn = sampler.sample_relative(study, frozen, sampler.infer_relative_search_space(study, frozen))
        for key in space:
            if key not in drawn:
                drawn[key] = sampler.sample_independent(study, frozen, key, space[key])
        study._storage.set_trial_system_attr(trial._trial_id, FIXED, drawn)
    trial = optuna.Trial(study, trial._trial_id)
    for key, kind in space.items():
        trial._suggest(key, kind)
    return trial


def is_owned(trial: FrozenTrial, owner: Mapping[str, str] | None) -> bool:
    """Whether a trial is running and belongs to the command of this address."""
    return trial.state == TrialState.RUNNING and trial.user_attrs.get(OWNER) == owner


def requeue(study: optuna.Study, trial_id: int, owner: Mapping[str, str] | None) -> bool:
    """Queue a trial for the next command; returns False if it no longer belongs to this owner.

    Args:
        owner: address of the command that it belongs to.
    """
    storage = study._storage
    if not is_owned(storage.get_trial(trial_id), owner):
        return False
    try:
        storage.set_trial_user_attr(trial_id, OWNER, None)  # first, because the next command sets its own owner at once
        storage.set_trial_state_values(trial_id, TrialState.WAITING)
    except UpdateFinishedTrialError:
        return False
    return True


def recover(study: optuna.Study, owner: "Owner") -> list[FrozenTrial]:
    """Queue the trials whose command was killed; returns them."""
    with owner.lock:
        running = study.get_trials(states=(TrialState.RUNNING,))
        dead = [trial for trial in running if not _is_alive(study, trial)]
        for trial in dead:
            requeue(study, trial._trial_id, trial.user_attrs.get(OWNER))
    return dead


def release(study: optuna.Study, owner: "Owner") -> None:
    """Queue the trials that this command still owns at its end: their processes were stopped before they began."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        requeue(study, trial._trial_id, owner.address)


def _is_alive(study: optuna.Study, trial: FrozenTrial) -> bool:
    owner = trial.user_attrs.get(OWNER)
    if owner is None:  # its command is about to record itself, or was killed before it could
        start = trial.datetime_start
        return start is not None and time.time() - start.timestamp() < UNOWNED_SECONDS
    if owner["host"] == socket.gethostname() and Path(owner["lock"]).exists():
        try:
            FileLock(owner["lock"], blocking=False).acquire().lock.release()
        except (Timeout, PermissionError):  # PermissionError: a lock of another user
            return True
        except OSError:
            return False
        return False
    return time.time() - float(study.user_attrs.get(f"alive {owner['token']}", 0.0)) < DEAD_SECONDS


@dataclass(frozen=True)
class Owner:
    """The command that trials belong to.

    Attributes:
        address: by which other commands see whether it is alive.
        lock: held while a trial is asked for, and while trials without an owner are searched.
    """

    address: dict[str, str]
    lock: FileLock


@contextmanager
def ownership(study: optuna.Study, folder: Path) -> Iterator[Owner]:
    """Context in which this command owns trials, shown by a lock on this machine and by heartbeats to others."""
    token = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"sweep-{token}.lock")
    end = threading.Event()

    def beat() -> None:
        while not end.wait(HEARTBEAT_SECONDS):
            with suppress(Exception):  # the next heartbeat may succeed
                study.set_user_attr(f"alive {token}", time.time())

    with lock:
        study.set_user_attr(f"alive {token}", time.time())
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            address = {"host": socket.gethostname(), "lock": str(lock.lock_file), "token": token}
            yield Owner(address, FileLock(folder / f"sweep-{file_name(study.study_name)}.lock"))
        finally:
            end.set()
            thread.join()
            Path(lock.lock_file).unlink(missing_ok=True)

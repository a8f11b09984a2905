"""The storage of a sweep's trials: a journal file or a database, shared by any number of processes.

A trial belongs to the command that asked for it. If that command is interrupted or killed, the trial waits again, with
its number, values, reports and finished trainings, and is the next one to be run: numbers, seeds and the data of
samplers and pruners do not depend on interruptions.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError

from depthlab.address import Address
from depthlab.config.errors import UserError
from depthlab.database import check_database, first_line, usable
from depthlab.sweep.space import Knob
from depthlab.text import file_name

ALIVE_SECONDS, DEAD_SECONDS = 30.0, 300.0  # between signs of life, and without one before another machine takes over
UNOWNED_SECONDS = 10.0  # between asking for a trial and saying whose it is, on a slow network
CREATE_TRIES, CREATE_SECONDS = 20, 0.2  # while another command makes the tables
FIRST = b'{"op_code":'  # of a journal
OWNER, REASON, POINT, PRUNED, RUN = "owner", "reason", "training", "pruned", "run_id"
FIXED = "fixed_params"  # Optuna's name for given values, as `enqueue_trial` writes it


class _Lock:
    """The operating system's own lock of a journal: unlike Optuna's it ends with a process that is killed.

    A line that was left half written is cut off: Optuna would write on behind it, and could read the file no more.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if size and file.read() != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._lock.release()


def open_storage(address: str) -> Any:
    """The storage at a path or a database's address.

    Raises:
        UserError: it cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "://" in address:
        return _open_database(Address.of(address, "storage"))
    path = Path(address).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.exists():
            with path.open("rb") as file:
                first = file.read(len(FIRST))
            if not FIRST.startswith(first):
                raise ValueError(f"a journal does not begin with {first!r}")
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), _Lock(path)))  # type: ignore[arg-type]
    except (ValueError, KeyError):
        raise UserError(f"{address} is not an Optuna journal: set another one with storage=FILE.journal") from None


def _open_database(address: Address) -> Any:
    if address.scheme.startswith("sqlite"):
        _ = address.file  # refuses one that is none
    check_database(address)
    try:
        return _create_tables(usable(address).render_as_string(hide_password=False))
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("sqlalchemy", "optuna"):
            told = address.hide(first_line(error))
            raise UserError(f"no database answers at storage={address}: {told}") from None
        raise


def _create_tables(address: str) -> Any:
    """Optuna makes its tables at the first opening, and fails if another command is at it at the same moment."""
    for _ in range(CREATE_TRIES):
        try:
            return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            if "already exists" not in str(error) and not isinstance(error, IntegrityError):
                raise
        time.sleep(CREATE_SECONDS)
    return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})


def open_study(
    storage: Any,
    name: str,
    directions: Sequence[Literal["minimize", "maximize"]],
    content: Mapping[str, Any],
    pruner: optuna.pruners.BasePruner,
) -> optuna.Study:
    """The study of this name, made if it is not there.

    Args:
        content: what its trials are trainings of; a study of that name with another content is refused.

    Raises:
        UserError: the name belongs to another space, objective, network or graph.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True, pruner=pruner
    )
    known = study.user_attrs.get("content")
    if known is None:
        study.set_user_attr("content", dict(content))
        return study
    different = [key for key in content if known.get(key) != content[key]]
    if different:
        raise UserError(
            f"the sweep {name} has another {', '.join(different)}: give this one a name of its own, study_name=..."
        )
    return study


def distribution(knob: Knob) -> BaseDistribution:
    """Optuna's form of a knob."""
    if knob.choices:
        return CategoricalDistribution(list(knob.choices))
    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended, with any result."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def ask(
    study: optuna.Study, space: Mapping[str, Knob], trials: int, sampler: Any, owner: "Owner"
) -> optuna.Trial | None:
    """The next trial with its values, or None if there are as many as were asked for.

    Args:
        sampler: number of a trial -> Optuna's sampler: no two trials draw the same numbers, whoever asks for them.
    """
    recover(study, owner)
    if len(study.get_trials(deepcopy=False, states=_STARTED)) >= trials:
        return None
    with owner.turn:
        trial = study.ask()
        trial.set_user_attr(OWNER, owner.address)
    if trial.number >= trials:  # another machine asked for the last one at the same moment
        give_back(study, trial._trial_id, owner.address)
        return None
    study.sampler = sampler(trial.number)
    return _with_values(study, trial, {key: distribution(knob) for key, knob in space.items()})


_STARTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _with_values(study: optuna.Study, trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> optuna.Trial:
    """Draw the values of a trial that has none; all are stored in one step, so a kill does not leave half of them."""
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


def give_back(study: optuna.Study, trial_id: int, owner: Mapping[str, str] | None) -> bool:
    """Let a trial wait for the next command; returns False if it no longer belongs to this owner.

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
    """Give back the trials whose command was killed; returns them."""
    with owner.turn:
        running = study.get_trials(states=(TrialState.RUNNING,))
        dead = [trial for trial in running if not _is_alive(study, trial)]
        for trial in dead:
            give_back(study, trial._trial_id, trial.user_attrs.get(OWNER))
    return dead


def release(study: optuna.Study, owner: "Owner") -> None:
    """Give back what this command still owns at its end: a process that was stopped before it had begun."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        give_back(study, trial._trial_id, owner.address)


def _is_alive(study: optuna.Study, trial: FrozenTrial) -> bool:
    owner = trial.user_attrs.get(OWNER)
    if owner is None:  # asked for a moment ago, or killed in that moment
        began = trial.datetime_start
        return began is not None and time.time() - began.timestamp() < UNOWNED_SECONDS
    if owner["host"] == socket.gethostname() and Path(owner["lock"]).exists():
        try:
            FileLock(owner["lock"], blocking=False).acquire().lock.release()
        except (Timeout, PermissionError):  # another person's, whose signs of life cannot be read here
            return True
        except OSError:
            return False
        return False
    return time.time() - float(study.user_attrs.get(f"alive {owner['token']}", 0.0)) < DEAD_SECONDS


@dataclass(frozen=True)
class Owner:
    """The command that trials belong to.

    Attributes:
        address: how others see whether it is alive.
        turn: held while a trial is asked for, or while those without an owner are looked for.
    """

    address: dict[str, str]
    turn: FileLock


@contextmanager
def owning(study: optuna.Study, folder: Path) -> Iterator[Owner]:
    """Own trials as long as this lasts: by a lock on this machine, by signs of life on others."""
    token = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"sweep-{token}.lock")
    over = threading.Event()

    def live() -> None:
        while not over.wait(ALIVE_SECONDS):
            with suppress(Exception):  # the next sign may get through
                study.set_user_attr(f"alive {token}", time.time())

    with lock:
        study.set_user_attr(f"alive {token}", time.time())
        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            address = {"host": socket.gethostname(), "lock": str(lock.lock_file), "token": token}
            yield Owner(address, FileLock(folder / f"sweep-{file_name(study.study_name)}.lock"))
        finally:
            over.set()
            thread.join()
            Path(lock.lock_file).unlink(missing_ok=True)

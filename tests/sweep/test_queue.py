"""Trials in a queue: each is asked for once, queued again once, and has one owner."""

import functools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from depthlab.folders import CHECKOUT
from depthlab.sweep import queue
from depthlab.sweep.queue import Owner, ask, distribution, ownership, recover, requeue
from tests.sweep.asking import SEARCH, TIMEOUT, asked, draw, started, together
from tests.sweep.conftest import Sweep

ANOTHER = """
import os, sys
from pathlib import Path
import optuna
from depthlab.sweep.space import read_space
from depthlab.sweep.queue import ask, ownership
from depthlab.sweep.storage import open_storage

journal, locks, trials, end = sys.argv[1:]
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="small", storage=open_storage(journal))
space, _ = read_space({"p_drop": "interval(0, 0.8)", "dropout": "interval(0, 0.8)"}, [])
with ownership(study, Path(locks)) as owner:
    found = lambda: ask(study, space, int(trials), lambda number: optuna.samplers.RandomSampler(seed=number), owner)
    for trial in iter(found, None):
        trial.set_user_attr("training 0", {"val_acc": 0.7})
        trial.set_user_attr("run_id", "of the dead")
    if end == "killed":
        os.kill(os.getpid(), 9)
"""


def another(sweep: Sweep, trials: int, end: str) -> "subprocess.Popen[bytes]":
    """A command that asks for trials, finishes a training of each, and ends or is killed."""
    command = [sys.executable, "-c", ANOTHER, sweep.journal, str(sweep.folder / "locks"), str(trials), end]
    return subprocess.Popen(command, cwd=CHECKOUT)


@contextmanager
def living(sweep: Sweep) -> Iterator[tuple[optuna.Study, Owner]]:
    study = sweep.study(SEARCH)
    with ownership(study, sweep.folder / "locks") as owner:
        yield study, owner


def test_no_more_trials_than_asked_for(sweep: Sweep) -> None:
    assert len(asked(sweep.study(SEARCH), 4, sweep.folder)) == 4
    assert asked(sweep.study(SEARCH), 4, sweep.folder) == []
    assert len(asked(sweep.study(SEARCH), 6, sweep.folder)) == 2
    assert len(started(sweep)) == 6


def test_threads_that_ask_at_the_same_time(sweep: Sweep) -> None:
    """Each has a lock of its own, like machines that share only the storage."""
    sweep.study(SEARCH)
    ready = threading.Barrier(4)

    def work(k: int) -> None:
        study = sweep.study(SEARCH)
        ready.wait(TIMEOUT)
        asked(study, 8, sweep.folder / str(k))

    together([functools.partial(work, k) for k in range(4)])
    assert len(started(sweep)) == 8
    assert len({tuple(trial.params.values()) for trial in started(sweep)}) == 8


def test_a_resumed_sweep_draws_nothing_twice(sweep: Sweep) -> None:
    for trials in (3, 6, 9):
        asked(sweep.study(SEARCH), trials, sweep.folder)
    assert len({tuple(trial.params.values()) for trial in started(sweep)}) == 9


def test_a_trial_of_a_killed_command_is_resumed(sweep: Sweep) -> None:
    sweep.study(SEARCH)
    assert another(sweep, 1, "killed").wait(TIMEOUT) == -signal.SIGKILL
    with living(sweep) as (study, owner):
        (dead,) = recover(study, owner)
        assert dead.user_attrs["run_id"] == "of the dead"
        assert recover(study, owner) == []
        again = ask(study, SEARCH.space, 1, draw, owner)
        assert again is not None
        assert (again.number, again.params) == (0, dead.params)
        assert again.user_attrs["training 0"] == {"val_acc": 0.7}  # not trained again
        assert ask(study, SEARCH.space, 1, draw, owner) is None
        assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]


@pytest.mark.parametrize("kind", ["journal", "sqlite", "postgresql"])
def test_a_queued_trial_is_the_next_one(sweep: Sweep, kind: str, request: pytest.FixtureRequest) -> None:
    """It has all its data, in every kind of storage, and only its owner can queue it."""
    kinds = {"journal": sweep.journal, "sqlite": f"sqlite:///{sweep.folder / 'trials.db'}"}
    study = sweep.study(SEARCH, storage=kinds.get(kind) or request.getfixturevalue("database"))
    with ownership(study, sweep.folder / "locks") as owner, ownership(study, sweep.folder / "locks") as other:
        first = ask(study, SEARCH.space, 4, draw, owner)
        assert first is not None and ask(study, SEARCH.space, 4, draw, owner) is not None
        first.report(0.5, 20)
        first.set_user_attr("training 0", {"val_acc": 0.5})
        assert not requeue(study, first._trial_id, other.address)
        assert requeue(study, first._trial_id, owner.address)
        again = ask(study, SEARCH.space, 4, draw, other)
        assert again is not None
        assert (again.number, again.params, again.user_attrs["training 0"]) == (0, first.params, {"val_acc": 0.5})
        assert study.get_trials()[0].intermediate_values == {20: 0.5}
        assert not requeue(study, first._trial_id, owner.address)
        third = ask(study, SEARCH.space, 4, draw, owner)
        assert third is not None and third.number == 2


def test_parameters_do_not_depend_on_a_kill_while_they_are_stored(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = sweep.study(SEARCH)
    with living(sweep) as (plain, owner):
        real, killed = type(plain._storage).set_trial_param, list[int]()

        def set_trial_param(*given: Any) -> None:
            killed.append(1)
            if len(killed) in (1, 3):  # before the first value and, later, before the second
                raise KeyboardInterrupt
            real(*given)

        monkeypatch.setattr(type(plain._storage), "set_trial_param", set_trial_param)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                ask(study, SEARCH.space, 1, draw, owner)
            study._storage.set_trial_state_values(study.get_trials()[0]._trial_id, TrialState.WAITING)
        trial = ask(study, SEARCH.space, 1, draw, owner)
        assert trial is not None
        expected = optuna.create_study(sampler=draw(0)).ask(
            {key: distribution(values) for key, values in SEARCH.space.items()}
        )
        assert (trial.number, trial.params) == (0, expected.params)


def test_two_commands_recover_at_the_same_time(sweep: Sweep) -> None:
    sweep.study(SEARCH)
    assert another(sweep, 3, "killed").wait(TIMEOUT) == -signal.SIGKILL
    found: list[FrozenTrial] = []
    ready = threading.Barrier(3)

    def work() -> None:
        with living(sweep) as (study, owner):
            ready.wait(TIMEOUT)
            found.extend(recover(study, owner))

    together([work] * 3)
    assert sorted(trial.number for trial in found) == [0, 1, 2]
    waiting = [trial for trial in sweep.study(SEARCH).get_trials() if trial.state == TrialState.WAITING]
    assert len(waiting) == 3


def test_a_running_command_keeps_its_trials(sweep: Sweep) -> None:
    with living(sweep) as (study, owner), living(sweep) as (other, visitor):
        ask(study, SEARCH.space, 3, draw, owner)
        assert recover(other, visitor) == []
        assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]


def test_a_trial_without_an_owner_is_queued_again(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    with living(sweep) as (study, owner):
        study.enqueue_trial(SEARCH.baseline)
        study.ask()  # killed here: it has neither an owner nor values
        assert recover(study, owner) == []  # another machine may be about to say that it is its own
        monkeypatch.setattr("depthlab.sweep.queue.UNOWNED_SECONDS", 0.0)
        assert len(recover(study, owner)) == 1
        again = ask(study, SEARCH.space, 3, draw, owner)
        assert again is not None
        assert again.params == SEARCH.baseline  # what waited is not lost


@pytest.mark.parametrize(("silent", "queued"), [(0.0, 0), (200.0, 0), (400.0, 1)])
def test_another_machine_is_dead_without_heartbeats(sweep: Sweep, silent: float, queued: int) -> None:
    with living(sweep) as (study, owner):
        trial = ask(study, SEARCH.space, 3, draw, owner)
        assert trial is not None
        study.set_user_attr("alive there", time.time() - silent)
        trial.set_user_attr("owner", {"host": "another machine", "lock": "/gone", "token": "there"})
        assert len(recover(study, owner)) == queued


def test_heartbeats(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "HEARTBEAT_SECONDS", 0.01)
    with living(sweep) as (study, owner):
        key, seen, end = f"alive {owner.address['token']}", set[float](), time.monotonic() + TIMEOUT
        while len(seen) < 3 and time.monotonic() < end:
            seen |= {study.user_attrs[key]} if key in study.user_attrs else set()
    assert len(seen) == 3
    assert not Path(owner.address["lock"]).exists()

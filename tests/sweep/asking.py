"""Helpers for tests of commands that ask for trials at the same time."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from depthlab.sweep.queue import ask, ownership
from tests.sweep.conftest import Sweep, search_of

SEARCH = search_of()
TIMEOUT = 60


def draw(number: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=number)


def asked(study: optuna.Study, trials: int, folder: Path) -> list[optuna.Trial]:
    """All trials that one command gets."""
    with ownership(study, folder) as owner:
        return list(iter(lambda: ask(study, SEARCH.space, trials, draw, owner), None))


def started(sweep: Sweep) -> list[FrozenTrial]:
    return [trial for trial in sweep.trials(SEARCH) if trial.state != TrialState.WAITING]


def together(works: Sequence[Callable[[], None]]) -> None:
    """Each in a thread of its own."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

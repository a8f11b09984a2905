"""Ctrl-C and SIGTERM, alone and sent twice, while a run is at work."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.training import signals
from depthlab.training.identity import LAST, checkpoint_folder
from depthlab.training.run import run
from depthlab.training.signals import (
    count_epochs,
    deferred_signals,
    handling_signals,
    interruptible,
    interruption_message,
    restore_sigterm,
    stop_handler,
)
from tests.training.conftest import Compose

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])


@pytest.fixture(autouse=True)
def as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in signals.SIGNALS} == before


def send(number: int, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)
        time.sleep(0.01)


@BOTH
def test_signals_within_a_second_are_one_request(number: int) -> None:
    asked: list[int] = []
    with handling_signals(stop_handler(lambda: asked.append(1))):
        send(number, times=3)
    assert len(asked) == 3


def test_a_second_request_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN", 0.05)
    asked: list[int] = []
    with handling_signals(stop_handler(lambda: asked.append(1))):
        send(signal.SIGINT)
        time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
    assert asked == [1]


def test_a_deferred_signal_takes_effect_at_the_end() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        send(signal.SIGINT)
        done.append(1)
    assert done == [1]


def test_a_deferred_signal_takes_effect_after_an_error() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        send(signal.SIGINT)
        raise ValueError


def test_sigterm_is_handled_whatever_lightning_installs() -> None:
    asked: list[int] = []
    handler = stop_handler(lambda: asked.append(1))
    with handling_signals(handler):
        signal.signal(signal.SIGTERM, lambda *_: None)
        restore_sigterm(handler)
        send(signal.SIGTERM)
    assert asked == [1]


@BOTH
def test_an_interruption_stays_one_if_a_library_raises_another_error(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            send(number, times=3)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None
    with pytest.raises(ImportError), interruptible():
        raise ImportError


def test_sigint_that_a_shell_ignores_stays_ignored_and_sigterm_is_handled() -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handling_signals(lambda number, _: asked.append(number)):
            send(signal.SIGINT)
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [signal.SIGTERM]


def in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    log = TrackedRun.log

    def acting(self: TrackedRun, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if "epoch/train_loss" in metrics and step == epoch:
            monkeypatch.setattr(TrackedRun, "log", log)
            act()

    monkeypatch.setattr(TrackedRun, "log", acting)


@pytest.mark.parametrize("times", [1, 2])
@BOTH
def test_a_run_ends_with_a_checkpoint_from_which_it_goes_on(
    settings: Compose, number: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=12", "checkpoint_every=1000")
    in_epoch(3, monkeypatch, lambda: send(number, times))
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted after 4 epochs: go on with .* ckpt=last$"):
        run(chosen)
    assert (checkpoint_folder(chosen) / LAST).is_file()
    assert run(replace(chosen, ckpt="last")).statistics["epochs_run"] == 12


def test_a_signal_just_after_an_error_leaves_no_open_run(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank fails, and torchrun's SIGTERM comes before the record of the run is closed."""

    @contextmanager
    def then_signal() -> Iterator[None]:
        try:
            with interruptible():
                yield
        finally:
            send(signal.SIGTERM)

    def fail(*_: Any) -> None:
        raise ValueError("the connection is lost")

    monkeypatch.setattr("depthlab.training.run.interruptible", then_signal)
    monkeypatch.setattr("depthlab.training.run.describe", fail)
    chosen = settings("model=gcn", "depth=2", "epochs=1")
    with pytest.raises(KeyboardInterrupt), interruptible():
        run(chosen)
    (recorded,) = Records(chosen.tracking.store, chosen.tracking.experiment).runs()
    assert (recorded.status, recorded.tags["outcome"]) == ("FAILED", "failed")


def test_going_on_is_promised_only_where_there_is_a_checkpoint(tmp_path: Path) -> None:
    last = tmp_path / LAST
    assert interruption_message(last) == "interrupted, before a checkpoint was written: the same command begins anew"
    assert interruption_message(last, 1).startswith("interrupted after 1 epoch, before a checkpoint")
    last.touch()
    assert interruption_message(last, 2) == "interrupted after 2 epochs: go on with the same command and ckpt=last"


def test_epochs_are_counted() -> None:
    assert [count_epochs(number) for number in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]

"""Ctrl-C and SIGTERM, alone and sent twice, while a run is at work."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.tracking.run import TrackedRun
from src.train import signals
from src.train.identity import LAST, checkpoint_folder
from src.train.run import run
from src.train.signals import hearing, holding, in_words, interruption, once, treat_alike
from tests.train.conftest import Compose

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
def test_what_comes_at_once_is_one_request(number: int) -> None:
    asked: list[int] = []
    with hearing(once(lambda: asked.append(1))):
        send(number, times=3)
    assert len(asked) == 3


def test_a_second_request_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN", 0.05)
    asked: list[int] = []
    with hearing(once(lambda: asked.append(1))):
        send(signal.SIGINT)
        time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
    assert asked == [1]


def test_what_is_held_is_done_whole() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), holding():
        send(signal.SIGINT)
        done.append(1)
    assert done == [1]


def test_sigterm_becomes_what_ctrl_c_is() -> None:
    asked: list[int] = []
    with hearing(lambda *_: None):
        signal.signal(signal.SIGINT, once(lambda: asked.append(1)))
        treat_alike()
        send(signal.SIGTERM)
    assert asked == [1]


def in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    log = TrackedRun.log

    def acting(self: TrackedRun, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if "train_loss" in metrics and step == epoch:
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
    assert run(chosen | {"ckpt": "last"}).scores["epochs_run"] == 12


def test_going_on_is_promised_only_where_there_is_a_checkpoint(tmp_path: Path) -> None:
    last = tmp_path / LAST
    assert interruption(last) == "interrupted, before a checkpoint was written: the same command begins anew"
    assert interruption(last, 1).startswith("interrupted after 1 epoch, before a checkpoint")
    last.touch()
    assert interruption(last, 2) == "interrupted after 2 epochs: go on with the same command and ckpt=last"


def test_epochs_are_counted() -> None:
    assert [in_words(number) for number in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]

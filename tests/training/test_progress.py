"""The progress bar."""

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from depthlab.training.callbacks import BestState
from depthlab.training.progress import EpochBar


def test_where_no_terminal_shows_the_bar_a_line_comes_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter(range(0, 1000, 12))
    monkeypatch.setattr("depthlab.training.progress.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    bar = EpochBar("a run", BestState("val_loss", 10), "acc")
    bar.bar.live.console = Console(stderr=True, force_interactive=False)
    at: Any = SimpleNamespace(current_epoch=0, max_epochs=100)
    bar.task = bar.bar.add_task("a run", total=100)
    for at.current_epoch in range(7):
        bar.on_train_epoch_end(at, SimpleNamespace(scores={"train_loss": 0.5, "val_acc": 0.25}))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{n} of 100 epochs: loss 0.500  val acc 0.250  best at -1  a run" for n in (3, 6)]

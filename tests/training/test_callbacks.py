"""What happens at the end of an epoch, callback by callback, with stand-ins for trainer and model."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.tracking.record import EpochRecord
from depthlab.training.callbacks import BestState, Evaluation, FirstEpoch, Recorder, Saver


class FakeTracked(EpochRecord):
    """Remembers what it was told; holds steps up to `known` already."""

    run_id = "run"

    def __init__(self, known: int = -1) -> None:
        self.known, self.logged = known, []  # type: ignore[var-annotated]

    def last_step(self, metric: str) -> int:
        return self.known

    def log(self, metrics: Any, step: int = 0) -> None:
        self.logged.append(step)


def trainer(epoch: int) -> Any:
    return SimpleNamespace(current_epoch=epoch, should_stop=False)


def model(**scores: float | torch.Tensor) -> Any:
    network = torch.nn.Linear(1, 1)
    network.scores = scores  # type: ignore[assignment]
    return network


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [("val_loss", [3, 1, 2], 1), ("val_acc", [0.1, 0.3, 0.3], 1), ("val_mae", [3, 1, 2], 1)],
)
def test_best_state_keeps_the_first_best_epoch(monitor: str, values: list[float], best: int) -> None:
    callback = BestState(monitor, patience=10)
    kept = []
    for epoch, value in enumerate(values):
        network = model(**{"train_loss": 1.0, "val_loss": 1.0, monitor: value})
        kept.append(network.weight.detach().clone())
        callback.on_train_epoch_end(trainer(epoch), network)
    assert callback.epoch == best
    assert torch.equal(callback.weights["weight"], kept[best])


def test_best_state_is_a_copy() -> None:
    callback, network = BestState("val_loss", 10), model(train_loss=1.0, val_loss=1.0)
    callback.on_train_epoch_end(trainer(0), network)
    before = callback.weights["weight"].clone()
    with torch.no_grad():
        network.weight += 1
    assert torch.equal(callback.weights["weight"], before)


def test_patience_counts_epochs_without_improvement_also_after_a_resume() -> None:
    callback = BestState("val_loss", patience=3)
    callback.on_train_epoch_end(trainer(0), model(train_loss=1.0, val_loss=1.0))
    resumed = BestState("val_loss", patience=3)
    resumed.load_state_dict(callback.state_dict())
    stops = []
    for epoch in (1, 2, 3):
        at = trainer(epoch)
        resumed.on_train_epoch_end(at, model(train_loss=1.0, val_loss=1.0))
        stops.append(at.should_stop)
    assert stops == [False, False, True]


@pytest.mark.parametrize("bad", [{"train_loss": math.nan, "val_loss": 1.0}, {"train_loss": 1.0, "val_loss": math.inf}])
def test_a_loss_that_is_no_number_stops_at_once(bad: dict[str, float]) -> None:
    callback, at = BestState("val_acc", patience=10), trainer(5)
    callback.on_train_epoch_end(at, model(val_acc=1.0, **bad))
    assert callback.diverged
    assert at.should_stop
    assert not callback.weights


def test_a_run_that_diverges_at_once_keeps_the_initial_weights() -> None:
    network = torch.nn.Linear(2, 2)
    network.scores = {"train_loss": torch.tensor(math.nan), "val_loss": torch.tensor(1.0)}  # type: ignore[assignment]
    callback, before = BestState("val_loss", patience=3), network.weight.detach().clone()
    callback.on_train_start(trainer(0), network)
    with torch.no_grad():
        network.weight += math.nan
    callback.on_train_epoch_end(trainer(0), network)
    assert callback.diverged and callback.epoch == -1
    assert torch.equal(callback.weights["weight"], before)


def test_recorder_sends_every_epoch_exactly_once() -> None:
    first: Any = FakeTracked()
    recorder = Recorder(first, {})
    recorder.on_train_start(trainer(0), model())
    for epoch in range(4):
        recorder.on_train_epoch_end(trainer(epoch), model(train_loss=1.0))
    assert first.logged == [0, 1, 2, 3]

    # The store had only taken two epochs when the process died; the checkpoint was written after the fourth.
    second: Any = FakeTracked(known=1)
    resumed = Recorder(second, {})
    resumed.load_state_dict(recorder.state_dict())
    resumed.on_train_start(trainer(4), model())
    resumed.on_train_epoch_end(trainer(4), model(train_loss=1.0))
    assert second.logged == [2, 3, 4]

    # The store had taken more than the checkpoint knows: those epochs run again and are not sent again.
    third: Any = FakeTracked(known=5)
    behind = Recorder(third, {})
    behind.load_state_dict(recorder.state_dict())
    behind.on_train_start(trainer(4), model())
    for epoch in range(4, 8):
        behind.on_train_epoch_end(trainer(epoch), model(train_loss=1.0))
    assert third.logged == [6, 7]


def test_first_epoch_measures_before_the_first_step_and_after_the_first_epoch() -> None:
    calls: list[float] = []

    def measure() -> list[float]:
        calls.append(len(calls) + 0.5)
        return calls[-1:]

    callback = FirstEpoch(measure)
    callback.on_train_start(trainer(0), model())
    for epoch in range(3):
        callback.on_train_epoch_end(trainer(epoch), model())
    assert (calls, callback.start, callback.result) == ([0.5, 1.5], [0.5], [1.5])
    resumed = FirstEpoch(measure)
    resumed.load_state_dict(callback.state_dict())
    resumed.on_train_start(trainer(3), model())
    assert (len(calls), resumed.start, resumed.result) == (2, [0.5], [1.5])
    resumed.load_state_dict({"result": [1.5]})  # of a checkpoint from before the first was measured
    assert resumed.start == []


def test_a_monitor_without_a_value_is_refused() -> None:
    callback = BestState("val_roc_auc", 10)
    seen = model(train_loss=1.0, val_loss=1.0, val_roc_auc=float("nan"))
    with pytest.raises(UserError, match="monitor=val_roc_auc is undefined"):
        callback.on_train_epoch_end(trainer(0), seen)


def test_saver_saves_every_second_epoch(tmp_path: Path) -> None:
    path = tmp_path / "run" / "last.ckpt"
    written: list[Path] = []

    def save(part: Path) -> None:
        part.write_text(str(len(written)))
        written.append(part)

    path.parent.mkdir()
    saver = Saver(path, every=2)
    for epoch in range(5):
        at: Any = SimpleNamespace(
            current_epoch=epoch, save_checkpoint=save, is_global_zero=True, strategy=SimpleNamespace(broadcast=bool)
        )
        saver.on_train_epoch_end(at, model())
    assert written == [path, path]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


class Ranks:
    """Two ranks: the other has a loss of 3, the main one broadcasts first."""

    sent: Any = None

    def reduce(self, value: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "mean"
        return (value + 3) / 2

    def broadcast(self, value: Any) -> Any:
        self.sent = value if self.sent is None else self.sent
        return self.sent


def evaluated(strategy: Ranks, main: bool) -> dict[str, torch.Tensor]:
    """The scores of a rank after an epoch, of which the main one alone validates."""
    network = model(train_loss=torch.tensor(1.0 if main else 3.0))
    network.validation_step = lambda _: network.scores.update(val_loss=torch.tensor(0.1))
    at: Any = SimpleNamespace(strategy=strategy, is_global_zero=main, world_size=2)
    Evaluation(SimpleNamespace(validation=())).on_train_epoch_end(at, network)
    scores: dict[str, torch.Tensor] = network.scores
    return scores


def test_every_rank_has_the_scores_of_the_main_one() -> None:
    strategy = Ranks()
    main, other = evaluated(strategy, main=True), evaluated(strategy, main=False)
    assert main == other == {"train_loss": torch.tensor(2.0), "val_loss": torch.tensor(0.1)}


def test_every_rank_saves_and_ends_when_ctrl_c_reaches_the_main_one(tmp_path: Path) -> None:
    strategy, saved = Ranks(), list[Path]()
    for main in (True, False):
        saver = Saver(tmp_path / "last.ckpt", 1000)
        if main:
            saver.interrupt()
        at: Any = SimpleNamespace(strategy=strategy, current_epoch=0, save_checkpoint=saved.append)
        with pytest.raises(KeyboardInterrupt):
            saver.on_train_epoch_end(at, model())
    assert saved == [tmp_path / "last.ckpt"] * 2

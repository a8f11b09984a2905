"""What processes agree on at the end of an epoch, with a stand-in for the connection."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from depthlab.training.callbacks import Saver
from depthlab.training.together import Agreement, Silent


class Wire:
    """Two processes: the other had a loss of 3, process 0 says what it has said last."""

    said: Any = None

    def reduce(self, value: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "mean"
        return (value + 3) / 2

    def broadcast(self, value: Any) -> Any:
        self.said = value if self.said is None else self.said
        return self.said


class Model(torch.nn.Module):
    def __init__(self, loss: float) -> None:
        super().__init__()
        self.scores = {"train_loss": torch.tensor(loss)}

    def validation_step(self, graphs: Any) -> None:
        self.scores["val_loss"] = torch.tensor(0.1)


def test_all_have_the_scores_of_the_first() -> None:
    wire, batches = Wire(), SimpleNamespace(validation=())
    found = []
    for leads in (True, False):
        model = Model(1.0 if leads else 3.0)
        trainer: Any = SimpleNamespace(strategy=wire, is_global_zero=leads)
        Agreement(batches).on_train_epoch_end(trainer, model)
        found.append(model.scores)
    assert found[0] == found[1] == {"train_loss": torch.tensor(2.0), "val_loss": torch.tensor(0.1)}


def test_all_save_and_end_when_ctrl_c_comes_between_the_scores_and_the_checkpoint(tmp_path: Path) -> None:
    wires, saved = [Wire(), Wire()], list[Path]()  # of the scores, of the checkpoint
    for leads in (True, False):
        model, saver = Model(1.0), Saver(tmp_path / "last.ckpt", 1000)
        at: Any = SimpleNamespace(
            strategy=wires[0], is_global_zero=leads, current_epoch=0, save_checkpoint=saved.append
        )
        Agreement(SimpleNamespace(validation=())).on_train_epoch_end(at, model)
        if leads:
            saver.interrupt()
        at.strategy = wires[1]
        with pytest.raises(KeyboardInterrupt):
            saver.on_train_epoch_end(at, model)
    assert saved == [tmp_path / "last.ckpt"] * 2


def test_the_record_of_the_others_holds_nothing() -> None:
    record = Silent()
    record.log({"train_loss": 1.0}, 3)
    assert record.last_step("train_loss") == -1

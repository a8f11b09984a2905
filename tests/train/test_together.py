"""What processes agree on at the end of an epoch, with a stand-in for the connection."""

from types import SimpleNamespace
from typing import Any

import torch

from src.train.callbacks import Saver
from src.train.together import Agreement, Silent


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


def test_all_have_the_scores_of_the_first_and_hear_of_its_ctrl_c(tmp_path: Any) -> None:
    wire, batches = Wire(), SimpleNamespace(validation=())
    found = []
    for leads in (True, False):
        model, saver = Model(1.0 if leads else 3.0), Saver(tmp_path, 1)
        saver.interrupted = leads
        trainer: Any = SimpleNamespace(strategy=wire, is_global_zero=leads)
        Agreement(batches, saver).on_train_epoch_end(trainer, model)
        found.append(model.scores)
        assert saver.interrupted
    assert found[0] == found[1] == {"train_loss": torch.tensor(2.0), "val_loss": torch.tensor(0.1)}


def test_the_record_of_the_others_holds_nothing() -> None:
    record = Silent()
    record.log({"train_loss": 1.0}, 3)
    assert record.last_step("train_loss") == -1

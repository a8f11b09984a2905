"""A run among replicas keeps what a run by itself keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.schema import Settings
from depthlab.tracking.record import EpochRecord
from depthlab.training.experiment import experiment
from depthlab.training.identity import LAST
from depthlab.training.member import Member, lightning_checkpoint
from depthlab.training.stacked import Replicas

Compose = Callable[..., Settings]


@pytest.fixture
def member(settings: Compose, tmp_path: Path) -> Member:
    chosen = settings("model=gcn", "depth=2", "hidden=4", "epochs=5", "patience=2", "memory=full")
    return Member(chosen, {}, {}, tmp_path, {"config_hash": "a"}, experiment(chosen), None)


def tracked(sent: list[int]) -> Any:
    class Sent(EpochRecord):
        name, uri, experiment_id, run_id, locations = "n", "u", "e", "r", list[str]()

        def log(self, metrics: Any, step: int = 0) -> None:
            sent.append(step)

    return Sent()


def see(member: Member, losses: list[float], first: int = 0) -> None:
    for epoch, loss in enumerate(losses, first):
        if member.ended:
            break
        scores = {name: torch.tensor(loss) for name in ("train_loss", "train_acc", "val_loss", "val_acc")}
        member.end_epoch(epoch, scores, member.model.state_dict(), 0.5)


@pytest.mark.parametrize(
    ("losses", "best", "seen", "diverged"),
    [([3.0, 1.0, 2.0, 2.0, 0.0], 1, 4, False), ([5.0, 4.0, 3.0, 2.0, 1.0], 4, 5, False),
     ([3.0, float("nan"), 1.0], 0, 2, True)],
)  # fmt: skip
def test_a_member_stops_like_a_single_run(
    member: Member, losses: list[float], best: int, seen: int, diverged: bool
) -> None:
    sent: list[int] = []
    member.tracked = tracked(sent)
    member.begin()
    assert not member.ended and member.epochs == 0
    see(member, losses)
    assert member.ended and member.best.epoch == best and member.best.diverged == diverged
    assert sent == list(range(seen))
    assert member.seconds == member.recorder.seconds == 0.5 * seen
    assert len(member.first.start) == len(member.first.result) == 3  # gradients, layers 0 to 2


def test_it_goes_on_from_its_checkpoint(member: Member) -> None:
    member.tracked = tracked([])
    member.begin()
    replicas = Replicas([member.model], [member.graph])
    replicas.train(0)
    see(member, [3.0, 2.0])
    member.save(replicas, 0)
    content = torch.load(member.folder / LAST, weights_only=True)
    assert content["global_step"] == 2 and not list(member.folder.glob("*.part"))
    again = Member(member.settings, {}, {}, member.folder, member.identity, member.experiment, content)
    assert again.epochs == 2
    sent: list[int] = []
    again.tracked = tracked(sent)
    again.begin()
    assert (again.best.best, again.best.epoch, again.seconds) == (-2.0, 1, 1.0)
    see(again, [2.5, 2.5], first=2)
    assert again.ended and sent == [0, 1, 2, 3]  # what the store had not got, and then what is new
    for name, value in replicas.weights(0).items():
        assert torch.equal(content["state_dict"][name], value)


def test_loops_stand_where_lightning_s_would() -> None:
    content = lightning_checkpoint(epochs=7, limit=20)
    loop = content["loops"]["fit_loop"]
    assert content["epoch"] == content["global_step"] == 7
    assert loop["epoch_progress"]["current"]["completed"] == 7
    assert loop["epoch_loop.batch_progress"]["total"]["completed"] == 7

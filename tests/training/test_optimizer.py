"""Optimizers and schedules of the learning rate, named by their class."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.tracking.run import TrackedRun
from depthlab.training.experiment import experiment
from depthlab.training.identity import code_hash
from depthlab.training.optimizer import ADAM, make_optimizer
from depthlab.training.run import run
from tests.training.conftest import Compose, history

SHORT = ("model=gcn", "depth=2", "hidden=8", "epochs=12", "patience=12", "measures=[]", "memory=full")
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "sgd": "SGD"}
OWN = """
import torch

class Sign(torch.optim.SGD):
    '''Steps of one size.'''
    def __init__(self, params, lr, weight_decay=0.0, scale=1.0):
        super().__init__(params, lr * scale, weight_decay=weight_decay)

class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
"""


@pytest.fixture
def own(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a user's option in `conf`; a module `my_optimizer` can be imported."""
    (tmp_path / "my_optimizer.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)

    def write(group: str, text: str) -> None:
        (conf / group).mkdir(exist_ok=True)
        (conf / group / "own.yaml").write_text(text)

    return write


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_used_with_a_weight_decay_for_each_kind(settings: Compose, name: str) -> None:
    chosen = settings("model=gcnii", "depth=2", f"optimizer={name}", "weight_decay=0.1", "weight_decay_linear=0.2")
    optimizer = experiment(chosen).module.configure_optimizers()
    assert type(optimizer) is getattr(torch.optim, OPTIMIZERS[name])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1, 0.2}
    assert {group["lr"] for group in optimizer.param_groups} == {chosen.lr}


def test_the_default_is_the_adam_of_torch() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    ours = make_optimizer(ADAM, [{"params": [parameter], "weight_decay": 0.0}], 0.01)
    chosen = make_optimizer(compose_settings([]).optimizer, [{"params": [parameter], "weight_decay": 0.0}], 0.01)
    plain = torch.optim.Adam([parameter], 0.01, fused=True)
    for made in (ours, chosen):
        assert {k: list(v) if k == "betas" else v for k, v in made.defaults.items()} == plain.defaults | {
            "betas": list(plain.defaults["betas"])
        }


@pytest.mark.parametrize(
    "typed",
    [("optimizer=adamw", "lr_scheduler=cosine"), ("optimizer=sgd", "lr=0.5", "lr_scheduler=plateau",
     "lr_scheduler.patience=0", "lr_scheduler.threshold=0.05")],
)  # fmt: skip
def test_a_resumed_run_gives_the_same_results(
    settings: Compose, typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = settings(*SHORT, *typed)
    uninterrupted = run(chosen)
    log = TrackedRun.log

    def press(self: TrackedRun, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if "epoch/train_loss" in metrics and step == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrackedRun, "log", press)
    with pytest.raises(KeyboardInterrupt):
        run(replace(chosen, checkpoint_every=5))
    monkeypatch.setattr(TrackedRun, "log", log)
    resumed = run(replace(chosen, ckpt="last"))
    assert resumed.scores == uninterrupted.scores
    for metric in ("epoch/train_loss", "epoch/lr"):
        assert history(chosen, resumed.run_id, metric) == history(chosen, uninterrupted.run_id, metric)
    rates = [rate for _, rate in history(chosen, resumed.run_id, "epoch/lr")]
    assert rates[0] == pytest.approx(chosen.lr) and rates[-1] < chosen.lr
    if "lr_scheduler=cosine" in typed:
        wanted = [chosen.lr * (1 + math.cos(math.pi * epoch / 12)) / 2 for epoch in range(12)]
        assert rates == pytest.approx(wanted, rel=1e-6)


def test_without_a_schedule_no_learning_rate_is_recorded(settings: Compose) -> None:
    chosen = settings(*SHORT)
    assert history(chosen, run(chosen).run_id, "epoch/lr") == []


def test_a_user_defined_optimizer_is_part_of_the_identity(settings: Compose, own: Any, tmp_path: Path) -> None:
    own("optimizer", "_target_: my_optimizer.Sign\nscale: 0.5\n")
    chosen = settings(*SHORT, "optimizer=own", "optimizer.scale=0.25")
    result = run(chosen)
    assert "-own-" in result.name and "scale0.25" in result.name
    assert experiment(chosen).module.make_optimizer().param_groups[0]["lr"] == chosen.lr / 4
    assert "my_optimizer.Sign" in chosen.targets
    assert code_hash(chosen.targets) != code_hash(settings(*SHORT).targets)
    hashes = {config_hash(settings(*SHORT, *typed)) for typed in ([], ["optimizer=own"], ["optimizer=adamw"],
              ["lr_scheduler=cosine"], ["lr_scheduler=cosine", "lr_scheduler.T_max=5"])}  # fmt: skip
    assert len(hashes) == 5


BAD = [
    ("optimizer", "_target_: my_optimizer.Missing", "cannot import my_optimizer.Missing"),
    ("optimizer", "_target_: torch.nn.Linear", "torch.nn.Linear is not a subclass of torch.optim.optimizer.Optimizer"),
    ("optimizer", "_target_: torch.optim.Adam\nlr: 0.1", "depthlab sets lr, so leave it out of the yaml"),
    ("optimizer", "_target_: torch.optim.Adam\nspeed: 1", "got an unexpected keyword argument 'speed'"),
    ("optimizer", "_target_: my_optimizer.Plain", "has no weight decay: use weight_decay=0 weight_decay_linear=0"),
    ("lr_scheduler", "_target_: torch.optim.lr_scheduler.StepLR", "missing a required argument: 'step_size'"),
    ("lr_scheduler", "_target_: torch.optim.Adam", "is not a subclass of torch.optim.lr_scheduler.LRScheduler"),
]


@pytest.mark.parametrize(("group", "text", "sentence"), BAD, ids=[one[2] for one in BAD])
def test_a_class_that_cannot_be_used_is_refused(
    settings: Compose, own: Any, group: str, text: str, sentence: str
) -> None:
    own(group, text + "\n")
    with pytest.raises(UserError) as error:
        experiment(settings(*SHORT, f"{group}=own"))
    assert str(error.value).startswith(f"{group}=own") and sentence in str(error.value)

"""Create the optimizer and the learning rate scheduler that the settings name by `_target_`."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from depthlab.config.errors import UserError
from depthlab.config.instantiate import build, import_class
from depthlab.config.option_types import LRSchedulerSettings, OptimizerSettings
from depthlab.tasks.metrics import higher_is_better

ADAM = OptimizerSettings(name="adam", target="torch.optim.Adam")
CONSTANT = LRSchedulerSettings(name="none")


def make_optimizer(option: OptimizerSettings, groups: Sequence[Mapping[str, Any]], lr: float) -> Optimizer:
    """Create the optimizer; torch's classes use the fused kernel where torch has one.

    Args:
        option: class and arguments.
        groups: parameter groups with their `weight_decay`.
        lr: learning rate.

    Raises:
        UserError: the class rejects these arguments, or it does not support the weight decay of a group.
    """
    kind = import_class("optimizer", option, Optimizer)
    known = inspect.signature(kind).parameters
    if "weight_decay" not in known and any(group["weight_decay"] for group in groups):
        raise UserError(f"optimizer={option.name} has no weight decay: use weight_decay=0 weight_decay_linear=0")
    given: dict[str, Any] = {"params": list(groups), "lr": lr}
    if kind.__module__.startswith("torch.optim.") and "fused" in known:
        given["fused"] = True
    return build("optimizer", option, kind, given)


def make_scheduler(option: LRSchedulerSettings, optimizer: Optimizer, monitor: str) -> LRScheduler | None:
    """Create the learning rate scheduler; None without one.

    Args:
        option: class and arguments.
        optimizer: the optimizer whose learning rate it changes.
        monitor: the recorded score that `plateau` follows.

    Raises:
        UserError: the class rejects these arguments.
    """
    if option.target is None:
        return None
    kind = import_class("lr_scheduler", option, LRScheduler)
    given: dict[str, Any] = {"optimizer": optimizer}
    if issubclass(kind, ReduceLROnPlateau):
        given["mode"] = "max" if higher_is_better(monitor) else "min"
    return build("lr_scheduler", option, kind, given)


def step_scheduler(scheduler: LRScheduler, score: float) -> None:
    """Set the learning rate of the next epoch; `score` is the score of the last epoch."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(score)
    else:
        scheduler.step()

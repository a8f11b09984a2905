"""Where autocast stops: sparse products and masks are made in float32 also while dense products are in bfloat16."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """The function without autocast, tensors of fewer bits than 32 given to it as float32.

    Sparse kernels know no bfloat16 on a CPU, and what dropout leaves pending is multiplied there. Without autocast
    nothing happens.
    """

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        device = autocast_device(*args, *kwargs.values())
        if device is None:
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*map(full, args), **{key: full(value) for key, value in kwargs.items()})

    return inside


def autocast_device(*values: Any) -> str | None:
    """The type of the device that the first tensor of these is on, if autocast is on for it."""
    for value in values:
        if isinstance(value, Tensor):
            return value.device.type if torch.is_autocast_enabled(value.device.type) else None
    return None


def full(value: Any) -> Any:
    """A tensor of fewer bits than 32 as float32; anything else as it is."""
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value

"""Recomputation in the backward pass: the same numbers from less memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from src.ops.masks import MaskSource


@contextmanager
def recomputing(masks: MaskSource, place: Any, norms: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, layers give once more what they gave in the forward pass, and leave no trace of it.

    Args:
        masks: dropout and DropEdge see the same draws again.
        place: of `masks` before the first of them.
        norms: those of BatchNorm do not update their running statistics a second time.
    """
    tracking = [norm for norm in norms if getattr(norm, "track_running_stats", False)]
    for norm in tracking:
        norm.track_running_stats = False  # type: ignore[assignment]
    try:
        with masks.replay(place):
            yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True  # type: ignore[assignment]

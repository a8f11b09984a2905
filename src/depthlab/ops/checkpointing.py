"""Recomputation in the backward pass: the same numbers from less memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from depthlab.ops.masks import MaskSource


@contextmanager
def recomputing(masks: MaskSource, state: Any, norms: Sequence[nn.Module]) -> Iterator[None]:
    """Context in which layers repeat their forward pass exactly and without side effects.

    Args:
        masks: random bits of dropout and DropEdge, which are drawn again.
        state: RNG state of `masks` before the first of these layers.
        norms: batch norms; they update copies of their running statistics, so that a step counts once.
    """
    buffers = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers()]
    for norm, name, buffer in buffers:
        setattr(norm, name, buffer.clone())
    try:
        with masks.replay(state):
            yield
    finally:
        for norm, name, buffer in buffers:
            setattr(norm, name, buffer)


def segment_length(depth: int) -> int:
    """Layers of a segment: about sqrt(depth), where states between segments and those within one add up to least."""
    return max(1, round(math.sqrt(depth)))

"""Recomputation in the backward pass: the same numbers from less memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from depthlab.ops.masks import MaskSource

LARGE = 1 << 20  # bytes of a buffer from which on it is worth while to see whether it changed


class Buffers:
    """Copies of the buffers of a module at one moment: running statistics, power iterations, moving averages."""

    def __init__(self, module: nn.Module) -> None:
        self.saved = [
            (owner, name, buffer.clone())
            for owner in module.modules()
            for name, buffer in owner.named_buffers(recurse=False)
        ]

    def drop_constants(self) -> "Buffers":
        """Drop the copies of large buffers that did not change since. (Batch norm does not change `_version`.)"""
        self.saved = [
            (owner, name, copy)
            for owner, name, copy in self.saved
            if copy.nbytes < LARGE or not torch.equal(owner.get_buffer(name), copy)
        ]
        return self

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Context in which the buffers have the saved values; what is written to them there is lost."""
        now = [(owner, name, owner.get_buffer(name)) for owner, name, _ in self.saved]
        for owner, name, copy in self.saved:
            setattr(owner, name, copy.clone())
        try:
            yield
        finally:
            for owner, name, buffer in now:
                setattr(owner, name, buffer)


@contextmanager
def recomputing(masks: MaskSource, state: Any, buffers: Buffers) -> Iterator[None]:
    """Context in which layers repeat their forward pass exactly and without side effects.

    Args:
        masks: random bits of dropout and DropEdge, which are drawn again.
        state: RNG state of `masks` before the first of these layers.
        buffers: of the layers, as they were before.
    """
    with masks.replay(state), buffers.restored():
        yield


def segment_length(depth: int) -> int:
    """Layers of a segment: about sqrt(depth), where states between segments and those within one add up to least."""
    return max(1, round(math.sqrt(depth)))

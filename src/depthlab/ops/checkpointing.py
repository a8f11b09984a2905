"""Recomputation in the backward pass: the same numbers from less memory."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from depthlab.ops.masks import MaskSource

Layer = Callable[..., tuple[Any, ...]]  # (number, *state) -> state


@contextmanager
def recomputing(masks: MaskSource, place: Any, norms: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, layers give once more what they gave in the forward pass, and leave no trace of it.

    Args:
        masks: dropout and DropEdge see the same draws again.
        place: of `masks` before the first of them.
        norms: what they write to running statistics is written to a copy: a step counts once.
    """
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers()]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        with masks.replay(place):
            yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)


def segment_length(depth: int) -> int:
    """Layers of a segment: about sqrt(depth), where states between segments and those within one add up to least."""
    return max(1, round(math.sqrt(depth)))


def checkpointed_layers(
    layer: Layer,
    depth: int,
    state: tuple[Any, ...],
    observe: Callable[[int, Any], None],
    masks: MaskSource,
    norms: Sequence[nn.Module],
) -> tuple[Any, ...]:
    """`state = layer(l, *state)` for l = 1..depth, keeping only states between segments (Chen et al. 2016,
    https://arxiv.org/abs/1604.06174); the backward pass runs the layers of each segment once more.

    The last segment is kept as it is: the backward pass begins there.

    Args:
        layer: one layer; draws from `masks` alone.
        state: what enters the first layer.
        observe: shown the first part of the state after each layer, in the first pass only.
        masks, norms: as in `recomputing`.

    Returns:
        the state after layer `depth`.
    """
    length = segment_length(depth)
    for first in range(1, depth + 1, length):
        numbers = range(first, min(first + length, depth + 1))
        segment = _Segment(layer, numbers, observe, masks, norms)
        if numbers[-1] == depth:
            return segment(*state)
        state = checkpoint(segment, *state, use_reentrant=False, preserve_rng_state=False)
    return state


class _Segment:
    """Some layers in a row; every call after the first is a recomputation."""

    def __init__(
        self,
        layer: Layer,
        numbers: range,
        observe: Callable[[int, Any], None],
        masks: MaskSource,
        norms: Sequence[nn.Module],
    ) -> None:
        self.layer, self.numbers, self.observe = layer, numbers, observe
        self.masks, self.norms, self.place = masks, norms, masks.place()
        self.seen = False

    def __call__(self, *state: Any) -> tuple[Any, ...]:
        if self.seen:
            with recomputing(self.masks, self.place, self.norms):
                for number in self.numbers:
                    state = self.layer(number, *state)
            return state
        self.seen = True
        for number in self.numbers:
            state = self.layer(number, *state)
            self.observe(number, state[0])
        return state

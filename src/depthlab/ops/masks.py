"""Random numbers for dropout and DropEdge: cheap, and a pure function of (seed, step)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEVELS = 1 << 8  # a random number has 8 bits: probabilities are multiples of 1/256, as in FlashAttention's dropout


def draw_threshold(p: float) -> tuple[float, float]:
    """The threshold at or below which an 8-bit random number drops its element, and the scale that preserves the mean.

    A number r is uniform on -128..127; its element is dropped if r <= threshold, with probability k / 256
    where k = round(256 p). The scale is 1 / (1 - k / 256), so E[mask * scale] = 1 exactly.
    """
    dropped = dropped_levels(p)
    return float(dropped - LEVELS // 2 - 1), LEVELS / (LEVELS - dropped)


def dropped_levels(p: float) -> int:
    """How many of the 256 values of a random number drop their element: p rounded to a multiple of 1/256, below 1."""
    return min(round(p * LEVELS), LEVELS - 1)


class MaskSource:
    """8-bit random numbers, reseeded with (seed, step) at every training step.

    A resumed run needs only the step number to continue with the same masks, and nothing depends on torch's global
    generator. On the CPU, raw 64-bit draws of NumPy's SFC64 are split into eight numbers each, which is much cheaper
    than torch's bernoulli. Larger blocks drawn in advance would be slower, because they leave the processor's cache.
    Other devices use torch's own generator.

    Args:
        seed: the run's seed, >= 0.

    Attributes:
        stream: index of the random stream, such as the rank of a process; takes effect at the next restart.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.stream = seed, 0
        self._generator: torch.Generator | None = None
        self.restart(0)

    def restart(self, step: int) -> None:
        """Begin the stream that belongs to this training step."""
        self.step = step
        self._bits = np.random.SFC64(self._sequence())
        if self._generator is not None:
            self._generator.manual_seed(self._word())

    def bits(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Independent random numbers, uniform on -128..127, int8 of the given shape."""
        size = math.prod(shape)
        if device.type == "cpu":
            return torch.from_numpy(self.words(-(-size // 8)).view(np.int8)[:size]).view(shape)
        if self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self._word())
        low, high = -LEVELS // 2, LEVELS // 2
        return torch.randint(low, high, shape, dtype=torch.int8, device=device, generator=self._generator)

    def words(self, count: int) -> np.ndarray:
        """The next 64-bit words of the stream, each holding eight numbers."""
        return self._bits.random_raw(count)

    def mask_keys(self) -> list[int]:
        """The next word of the stream, as the key of masks that are drawn elsewhere (`layers.cpp`)."""
        return self.words(1).tolist()

    def state(self) -> Any:
        """The RNG state, for `replay`."""
        generator = None if self._generator is None else self._generator.clone_state()
        return self._bits.state, generator

    @contextmanager
    def replay(self, state: Any) -> Iterator[None]:
        """Context that continues from an RNG state, so that a recomputation repeats the draws of its step."""
        now = self.state()
        self._set_state(state)
        try:
            yield
        finally:
            self._set_state(now)

    def _set_state(self, state: Any) -> None:
        self._bits.state, generator = state
        self._generator = None if generator is None else generator.clone_state()

    def _sequence(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(self.step, self.stream) if self.stream else (self.step,))

    def _word(self) -> int:
        words = self._sequence().generate_state(2)
        return (int(words[0]) << 31) ^ int(words[1])

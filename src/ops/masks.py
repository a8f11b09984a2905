"""Random numbers for dropout and DropEdge: cheap, and a pure function of (seed, step)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEVELS = 1 << 16  # a lane is 16 bits: probabilities are multiples of 1/65536
BLOCK = 1 << 21  # words drawn ahead at most: 16 MB


def draw_threshold(p: float) -> tuple[float, float]:
    """The threshold below or at which a 16-bit lane is dropped, and the exact scale that keeps the mean.

    A lane r is uniform on -32768..32767; it is dropped if r <= threshold, which happens with probability
    k / 65536 where k = round(65536 p). The scale is 1 / (1 - k / 65536), so E[mask * scale] = 1 exactly.
    """
    dropped = min(round(p * LEVELS), LEVELS - 1)
    return float(dropped - LEVELS // 2 - 1), LEVELS / (LEVELS - dropped)


class MaskSource:
    """16-bit random lanes, restarted at every training step from (seed, step).

    Nothing but the step number has to be saved for an interrupted run to go on with the same masks, and nothing
    depends on torch's global generator. On the CPU the bits come from NumPy's SFC64: raw 64-bit draws seen as four
    lanes, which costs a thirtieth of torch's bernoulli for the same number of elements. As many words as the step
    before used are drawn ahead, since a single-threaded draw between threaded products stalls both for longer than it
    takes; what the stream holds does not depend on that. On other devices torch's own generator is used.

    Args:
        seed: the run's seed, >= 0.
        ahead: draw ahead; False where many places of the stream are kept, each of which holds what was drawn ahead.

    Attributes:
        used: 64-bit words drawn since the restart.
    """

    def __init__(self, seed: int, ahead: bool = True) -> None:
        self.seed, self.ahead = seed, ahead
        self.used = 0
        self.restart(0)

    def restart(self, step: int) -> None:
        """Begin the stream that belongs to this training step."""
        self.step = step
        self._bits = np.random.SFC64(self._sequence())
        self._ahead, self.used = self.used if self.ahead else 0, 0
        self._block = np.empty(0, np.uint64)
        self._generator: torch.Generator | None = None

    def lanes(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Independent lanes, uniform on -32768..32767, int16 of the given shape."""
        size = math.prod(shape)
        if device.type == "cpu":
            return torch.from_numpy(self._words(-(-size // 4)).view(np.int16)[:size]).view(shape)
        if self._generator is None:
            words = self._sequence().generate_state(2)
            self._generator = torch.Generator(device).manual_seed((int(words[0]) << 31) ^ int(words[1]))
        low, high = -LEVELS // 2, LEVELS // 2
        return torch.randint(low, high, shape, dtype=torch.int16, device=device, generator=self._generator)

    def place(self) -> Any:
        """Where the stream stands, for `replay`."""
        generator = None if self._generator is None else self._generator.clone_state()
        return self._bits.state, self._block, self.used, generator

    @contextmanager
    def replay(self, place: Any) -> Iterator[None]:
        """Inside, the stream goes on from `place` of the same step, so that a recomputation sees the same draws."""
        now = self.place()
        self._go_to(place)
        try:
            yield
        finally:
            self._go_to(now)

    def _go_to(self, place: Any) -> None:
        self._bits.state, self._block, self.used, generator = place
        self._generator = None if generator is None else generator.clone_state()

    def _sequence(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(self.step,))

    def _words(self, count: int) -> np.ndarray:
        """The next 64-bit words of the stream."""
        if len(self._block) < count:
            ahead = max(count - len(self._block), min(self._ahead - self.used, BLOCK))
            self._block = np.concatenate([self._block, self._bits.random_raw(ahead)])
        words, self._block = self._block[:count], self._block[count:]
        self.used += count
        return words

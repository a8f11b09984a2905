"""The random bits of replicas: each replica draws from its own stream."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from depthlab.ops.masks import MaskSource


class ReplicaMasks:
    """One `MaskSource` per replica.

    Replica k gets the bits that its own source gives it when it is trained alone.

    Args:
        seeds: of the replicas.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.sources = [MaskSource(seed) for seed in seeds]

    def restart(self, step: int) -> None:
        """Begin the streams that belong to this training step."""
        for source in self.sources:
            source.restart(step)

    def bits(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Independent random numbers, int8 of the given shape, with an equal number of consecutive rows per replica.

        Args:
            shape: (r m, ...): (r, n, f) for states, (r e,) for entries.
        """
        each = (shape[0] // len(self.sources), *shape[1:])
        if device.type != "cpu":
            return torch.cat([source.bits(each, device) for source in self.sources])
        size = math.prod(each)
        words = np.stack([source.words(-(-size // 8)) for source in self.sources])
        return torch.from_numpy(words.view(np.int8)[:, :size]).reshape(shape)

    def mask_keys(self) -> list[int]:
        """The next word of each stream, as the keys of masks that are drawn elsewhere."""
        return [key for source in self.sources for key in source.mask_keys()]

    def keep(self, replicas: Sequence[int]) -> None:
        """Continue with these replicas only."""
        self.sources = [self.sources[k] for k in replicas]

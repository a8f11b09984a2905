"""Each replica draws what its own source gives it."""

import pytest
import torch

from depthlab.ops import MaskSource
from depthlab.ops.replica_masks import ReplicaMasks

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 4), (12,)])
def test_every_replica_draws_from_its_own_source(shape: tuple[int, ...]) -> None:
    masks, sources = ReplicaMasks([4, 0, 9]), [MaskSource(seed) for seed in (4, 0, 9)]
    masks.restart(6)
    for source in sources:
        source.restart(6)
    for _ in range(2):  # a word that is not used up is not carried on
        drawn = masks.bits(shape, CPU)
        assert drawn.shape == shape and drawn.dtype == torch.int8
        for bits, source in zip(drawn.chunk(3), sources, strict=True):
            assert torch.equal(bits.flatten(), source.bits((shape[0] // 3, *shape[1:]), CPU).flatten())


def test_remaining_replicas_keep_their_sources() -> None:
    masks, source = ReplicaMasks([4, 0, 9]), MaskSource(9)
    masks.keep([2])
    masks.restart(3)
    source.restart(3)
    assert torch.equal(masks.bits((1, 6), CPU), source.bits((1, 6), CPU))

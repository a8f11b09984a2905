"""What holds in every process that trains."""

import torch

from depthlab.training.fit import quiet_libraries


def test_numbers_that_would_slow_a_deep_network_down_are_zero() -> None:
    quiet_libraries()
    tiny = torch.full((64,), 1e-30)
    assert (tiny * 1e-10).count_nonzero() == 0
    assert (tiny * 1e-7).count_nonzero() == 64

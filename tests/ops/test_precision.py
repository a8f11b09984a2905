"""Where autocast stops."""

import torch
from torch import Tensor

from depthlab.ops.precision import autocast_device, full, full_precision


@full_precision
def both(a: Tensor, *, b: Tensor, scale: float = 1.0) -> Tensor:
    return scale * (a @ b)


def test_inside_everything_is_float32() -> None:
    a, b = torch.randn(4, 4), torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ b).dtype == torch.bfloat16
        found = both(a.bfloat16(), b=b, scale=2.0)
        assert (a @ b).dtype == torch.bfloat16  # it goes on after that
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, 2.0 * a.bfloat16().float() @ b)


def test_without_autocast_nothing_is_changed() -> None:
    doubles = torch.randn(4, 4, dtype=torch.float64)
    assert both(doubles, b=doubles).dtype == torch.float64
    halves = torch.randn(4, 4).bfloat16()
    assert both(halves, b=halves).dtype == torch.bfloat16


def test_the_first_tensor_tells_the_device() -> None:
    x = torch.zeros(1)
    assert autocast_device(3, "a", x) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert autocast_device(3, "a", x) == "cpu"
        assert autocast_device(3, "a") is None


def test_only_short_numbers_are_made_longer() -> None:
    for kind, becomes in ((torch.bfloat16, torch.float32), (torch.float16, torch.float32),
                          (torch.float64, torch.float64), (torch.int8, torch.int8)):  # fmt: skip
        assert full(torch.zeros(2, dtype=kind)).dtype == becomes
    assert full("text") == "text"

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from depthlab.ops import MaskSource, dropout, relu_dropout
from depthlab.ops.masks import draw_threshold

CPU = torch.device("cpu")
Drop = Callable[[Tensor, float, MaskSource], Tensor]
BOTH = pytest.mark.parametrize("drop", [dropout, relu_dropout])
PROBABILITIES = pytest.mark.parametrize("p", [0.1, 1 / 3, 0.6, 0.95])


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask(shape: tuple[int, ...], p: float, seed: int) -> Tensor:
    return MaskSource(seed).bits(shape, CPU) > draw_threshold(p)[0]


@PROBABILITIES
@BOTH
def test_the_mean_is_that_of_the_input(drop: Drop, p: float) -> None:
    row = torch.tensor([-2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    count = 100_000
    state = drop(row.repeat(count, 1), p, MaskSource(1))
    expected = row if drop is dropout else row.relu()
    sigma = row.abs() * math.sqrt(p / (1 - p) / count)
    assert torch.all((state.mean(0) - expected).abs() <= 5 * sigma)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(13,), (6, 7), (2, 3, 5)])
@PROBABILITIES
def test_dropout_is_a_mask(p: float, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = states(*shape).to(dtype).requires_grad_()
    state, scale = dropout(x, p, MaskSource(4)), draw_threshold(p)[1]
    kept = mask(shape, p, seed=4)
    weight = states(*shape, seed=1).to(dtype)
    (state * weight).sum().backward()
    assert state.dtype == dtype
    torch.testing.assert_close(state, x * kept * scale)
    torch.testing.assert_close(x.grad, kept * scale * weight)


@PROBABILITIES
def test_relu_dropout_is_relu_then_dropout_with_the_same_bits(p: float) -> None:
    fused = states(30, 17).requires_grad_()
    plain = fused.detach().clone().requires_grad_()
    weight = states(30, 17, seed=1)
    state = relu_dropout(fused, p, MaskSource(2))
    expected = dropout(plain.relu(), p, MaskSource(2))
    (state * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.equal(state, expected)
    assert fused.grad is not None and plain.grad is not None
    assert torch.equal(fused.grad, plain.grad)


@PROBABILITIES
@BOTH
def test_gradients_against_finite_differences(drop: Drop, p: float) -> None:
    x = states(5, 9)
    assert torch.autograd.gradcheck(lambda x: drop(x, p, MaskSource(3)), x.where(x.abs() > 0.01, 0.5).requires_grad_())


def test_at_zero_the_gradient_of_dropout_is_the_mask_and_that_of_relu_dropout_is_zero() -> None:
    for drop, expected in ((dropout, 2 * mask((40,), 0.5, seed=8).double()), (relu_dropout, torch.zeros(40).double())):
        x = torch.zeros(40, dtype=torch.float64, requires_grad=True)
        drop(x, 0.5, MaskSource(8)).sum().backward()
        assert x.grad is not None and torch.equal(x.grad, expected)


def test_negative_elements_survive_dropout_and_not_relu_dropout() -> None:
    x = -states(100).abs()
    kept = dropout(x, 0.5, MaskSource(0))
    assert 20 < int((kept < 0).sum()) < 80
    assert not relu_dropout(x, 0.5, MaskSource(0)).any()


def test_without_probability_nothing_is_drawn() -> None:
    x, masks = states(4, 4), MaskSource(0)
    assert dropout(x, 0.0, masks) is x
    assert torch.equal(relu_dropout(x, 0.0, masks), x.relu())
    assert torch.equal(masks.bits((16,), CPU), MaskSource(0).bits((16,), CPU))


@BOTH
def test_the_input_is_left_alone_whatever_its_layout(drop: Drop) -> None:
    x = states(8, 6)
    copy = x.clone()
    transposed, contiguous = drop(x.T, 0.5, MaskSource(1)), drop(x.T.contiguous(), 0.5, MaskSource(1))
    assert torch.equal(x, copy)
    assert torch.equal(transposed, contiguous)


@BOTH
def test_every_call_draws_new_bits(drop: Drop) -> None:
    x, masks = torch.ones(200), MaskSource(0)
    assert not torch.equal(drop(x, 0.5, masks), drop(x, 0.5, masks))

import math

import pytest
import torch
from torch import Tensor

from depthlab.config.settings import RANDOM_NUMBERS
from depthlab.ops import MaskSource
from depthlab.ops.masks import LEVELS, draw_threshold

CPU = torch.device("cpu")
SIZE = 1 << 20
EVERY_LANE = torch.arange(-LEVELS // 2, LEVELS // 2)
REQUESTS = [(3,), (5, 7), (1000,), (1,), (0, 4), (64, 33), (2, 3, 4)]


def draw(seed: int = 0, step: int = 0, size: int = SIZE) -> Tensor:
    source = MaskSource(seed)
    source.restart(step)
    return source.bits((size,), CPU)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]).double())[0, 1])


@pytest.mark.parametrize("p", [1e-9, 0.1, 1 / 3, 0.5, 0.6, 0.9999, 1 - 1e-9])
def test_the_scale_is_exact_over_all_values(p: float) -> None:
    threshold, scale = draw_threshold(p)
    kept = threshold < EVERY_LANE
    assert float(kept.double().mean()) * scale == pytest.approx(1, rel=1e-15)
    assert float(kept.double().mean()) == pytest.approx(1 - p, abs=1.01 / LEVELS)
    assert kept.any()


@pytest.mark.parametrize("p", [0.1, 1 / 3, 0.5, 0.6, 0.9, 0.9999])
def test_mask_times_scale_has_mean_one(p: float) -> None:
    threshold, scale = draw_threshold(p)
    mask = (draw() > threshold).double() * scale
    assert float(mask.mean()) == pytest.approx(1, abs=5 * math.sqrt(p / (1 - p) / SIZE))


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_a_word_is_fair(bit: int) -> None:
    bits = ((draw(seed=bit).view(-1, 8) >> bit) & 1).double()
    assert torch.all((bits.mean(0) - 0.5).abs() < 5 * 0.5 / math.sqrt(SIZE / 8))


def test_the_eight_bytes_of_a_word_are_centred_and_uncorrelated() -> None:
    bits = draw(seed=3).view(-1, 8).double() + 0.5
    sigma = LEVELS / math.sqrt(12)
    assert torch.all(bits.mean(0).abs() < 5 * sigma / math.sqrt(SIZE / 8))
    assert torch.all((bits.std(0) / sigma - 1).abs() < 0.005)
    assert torch.all(torch.corrcoef(bits.T).fill_diagonal_(0).abs() < 5 / math.sqrt(SIZE / 8))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 8, 64])
def test_neighbouring_elements_are_uncorrelated(lag: int) -> None:
    bits = draw(seed=4)
    assert abs(correlation(bits[lag:], bits[:-lag])) < 5 / math.sqrt(SIZE - lag)


def test_values_are_uniform() -> None:
    bits = draw(seed=5).long()
    assert bits.min() == -LEVELS // 2 and bits.max() == LEVELS // 2 - 1
    counts = torch.bincount(bits + LEVELS // 2, minlength=256).double()
    chi_square = float(((counts - SIZE / 256) ** 2 / (SIZE / 256)).sum())
    assert abs(chi_square - 255) < 5 * math.sqrt(2 * 255)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (0, 3)])
def test_shape_and_type(shape: tuple[int, ...]) -> None:
    bits = MaskSource(0).bits(shape, CPU)
    assert bits.shape == shape and bits.dtype == torch.int8


def test_seed_and_step_decide_the_stream_and_torch_does_not() -> None:
    torch.manual_seed(0)
    first = draw(seed=7, step=11, size=1000)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(first, draw(seed=7, step=11, size=1000))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)])
def test_other_seeds_and_steps_give_unrelated_streams(seed: int, step: int) -> None:
    assert abs(correlation(draw(), draw(seed, step))) < 5 / math.sqrt(SIZE)


def test_the_numbers_are_those_of_the_scheme() -> None:
    """Results of a seed are reused: whoever draws other numbers from it gives the scheme another number."""
    source = MaskSource(3)
    source.stream = 1
    source.restart(2)
    found = draw(3, 2, 4).tolist() + source.bits((4,), CPU).tolist()
    assert {RANDOM_NUMBERS: found} == {1: [124, -35, -10, -105, 124, 41, -96, 59]}


def test_seed_and_step_are_not_interchangeable() -> None:
    assert not torch.equal(draw(1, 2, 100), draw(2, 1, 100))


def test_a_new_source_starts_at_step_zero() -> None:
    assert torch.equal(MaskSource(9).bits((50,), CPU), draw(seed=9, step=0, size=50))


def test_requests_of_full_words_continue_one_stream() -> None:
    source = MaskSource(6)
    parts = torch.cat([source.bits((size,), CPU) for size in (8, 400, 16, 576)])
    assert torch.equal(parts, draw(seed=6, size=1000))


def test_drawn_bits_survive_later_draws_and_restarts() -> None:
    source = MaskSource(2)
    bits = source.bits((1001,), CPU)
    copy = bits.clone()
    source.bits((5000,), CPU)
    source.restart(1)
    source.bits((5000,), CPU)
    assert torch.equal(bits, copy)


@pytest.mark.parametrize("step", [0, 3])
def test_an_rng_state_can_be_restored(step: int) -> None:
    source = MaskSource(5)
    source.restart(step)
    source.bits((1001,), CPU)
    before = source.state()
    first = [source.bits(shape, CPU) for shape in REQUESTS[:4]]
    with source.replay(before):
        again = [source.bits(shape, CPU) for shape in REQUESTS]
    rest = [source.bits(shape, CPU) for shape in REQUESTS[4:]]
    assert all(torch.equal(a, b) for a, b in zip(again, first + rest, strict=True))

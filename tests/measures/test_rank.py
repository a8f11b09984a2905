import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from depthlab.measures.rank import effective_rank, stable_rank

Rank = Callable[[Tensor], float]
BOTH = pytest.mark.parametrize("rank", [effective_rank, stable_rank])


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 7])
@BOTH
def test_the_identity_is_full(rank: Rank, n: int) -> None:
    assert rank(torch.eye(n)) == pytest.approx(n)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
@BOTH
def test_a_product_of_two_vectors_has_rank_one(rank: Rank, shape: tuple[int, int]) -> None:
    assert rank(states(shape[0], 1) @ states(1, shape[1], seed=1)) == pytest.approx(1, abs=1e-5)


@BOTH
def test_orthogonal_columns_of_one_length_count_fully(rank: Rank) -> None:
    q = torch.linalg.qr(states(20, 6))[0]
    assert rank(3 * q) == pytest.approx(6)
    assert rank(torch.cat([q, torch.zeros(20, 5)], dim=1)) == pytest.approx(6, rel=1e-6)


def test_values_by_hand() -> None:
    x = torch.diag(torch.tensor([2.0, 1.0, 1.0]))
    assert stable_rank(x) == pytest.approx(1.5)
    assert effective_rank(x) == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)))


@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (8, 8), (6, 1)])
def test_equality_with_the_formulas_on_singular_values(shape: tuple[int, int]) -> None:
    x = states(*shape) * torch.logspace(0, -3, shape[1], dtype=torch.float64)
    s = torch.linalg.svdvals(x)
    p = s / s.sum()
    assert effective_rank(x) == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-9)
    assert stable_rank(x) == pytest.approx(float((s**2).sum() / s.max() ** 2), rel=1e-9)
    assert 1 <= stable_rank(x) <= min(shape) + 1e-9 and 1 <= effective_rank(x) <= min(shape) + 1e-9


@pytest.mark.parametrize("scale", [1e-200, 1e-30, -5.0, 1e30, 1e200])
@BOTH
def test_scale_does_not_matter(rank: Rank, scale: float) -> None:
    x = states(9, 4)
    assert rank(scale * x) == pytest.approx(rank(x), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@BOTH
def test_scale_does_not_matter_in_single_precision(rank: Rank, scale: float) -> None:
    x = states(9, 4).float()
    assert rank(scale * x) == pytest.approx(rank(x), rel=1e-5)


@BOTH
def test_rotating_channels_or_reordering_nodes_does_not_matter(rank: Rank) -> None:
    x = states(9, 4)
    rotation = torch.linalg.qr(states(4, 4, seed=1))[0]
    assert rank(x.flip(0) @ rotation) == pytest.approx(rank(x), rel=1e-9)


@BOTH
def test_zero_has_no_rank(rank: Rank) -> None:
    assert math.isnan(rank(torch.zeros(5, 3)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@BOTH
def test_a_diverged_state_is_not_a_number(rank: Rank, value: float) -> None:
    x = torch.eye(3)
    x[0, 1] = value
    assert math.isnan(rank(x))

"""States in the plane, against a dense singular value decomposition."""

import math

import pytest
import torch
from torch import Tensor

from depthlab.measures.projection import aligned, plane


def states(*shape: int, seed: int = 0) -> Tensor:
    scales = torch.logspace(0, -1, shape[1], dtype=torch.float64)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scales


def reference(x: Tensor) -> Tensor:
    """U S of the centred directions."""
    directions = torch.stack([row / torch.linalg.vector_norm(row) for row in x])
    u, s, _ = torch.linalg.svd(directions - directions.mean(0), full_matrices=False)
    return u[:, :2] * s[:2]


def up_to_sign(points: Tensor) -> Tensor:
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    return points * largest.sign()


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (9, 2)])
def test_equality_with_the_svd(shape: tuple[int, int]) -> None:
    x = states(*shape) + 3
    torch.testing.assert_close(up_to_sign(plane(x)), up_to_sign(reference(x)), atol=1e-9, rtol=1e-7)


def test_first_axis_holds_most() -> None:
    spread = plane(states(50, 5)).var(0)
    assert spread[0] > spread[1] > 0


def test_multiples_of_one_state_lie_in_one_point() -> None:
    lengths = torch.tensor([1.0, 2.0, 1e-20, 7.0, 1e20]).unsqueeze(1)
    points = plane(lengths * torch.tensor([1.0, -2.0, 0.3, 5.0]))
    assert points.shape == (5, 2)
    assert points.abs().max() < 1e-6


def test_states_that_become_alike_run_together() -> None:
    x = states(30, 4)
    sizes = [float(plane(torch.ones(4) + x * noise).norm()) for noise in (1.0, 1e-2, 1e-4)]
    assert sizes[0] > 10 * sizes[1] > 500 * sizes[2] > 0


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_length_does_not_matter(scale: float) -> None:
    x = states(20, 5)
    factors = torch.ones(20, 1, dtype=torch.float64)
    factors[3:9] = scale
    torch.testing.assert_close(up_to_sign(plane(factors * x)), up_to_sign(plane(x)), atol=1e-9, rtol=1e-7)


def test_a_single_channel_lies_on_a_line() -> None:
    points = plane(torch.tensor([[1.0], [2.0], [-6.0], [5.0]]))
    expected = torch.tensor([0.5, 0.5, -1.5, 0.5], dtype=torch.float64)  # signs less their mean
    torch.testing.assert_close(up_to_sign(points)[:, 0], -expected)
    assert torch.equal(points[:, 1], torch.zeros(4, dtype=torch.float64))


def test_a_state_of_zero_has_no_direction() -> None:
    points = plane(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(points[:, 0].abs(), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -float("inf")])
def test_nothing_to_see_is_zeros(value: float) -> None:
    x = torch.zeros(5, 3)
    x[2, 1] = value
    assert torch.equal(plane(x), torch.zeros(5, 2, dtype=torch.float64))


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_aligned_undoes_a_turn_and_a_mirror(mirror: float) -> None:
    points = states(12, 2)
    c, s = math.cos(2.1), math.sin(2.1)
    turned = points @ torch.tensor([[c, -s], [s, c]], dtype=torch.float64) * torch.tensor([1.0, mirror]).double()
    assert (turned - points).abs().max() > 0.1
    torch.testing.assert_close(aligned(turned, points), points)


def test_aligned_keeps_distances() -> None:
    points, previous = states(12, 2), states(12, 2, seed=1)
    found = aligned(points, previous)
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(points, points))
    assert (found - previous).norm() <= (points - previous).norm()

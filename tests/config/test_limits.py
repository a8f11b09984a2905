"""Intervals and lists as limits."""

from typing import Any

import pytest

from depthlab.config.limits import DROP_STEPS, Limit, is_drop_probability, is_limit, nearest_drop_probability, within
from depthlab.ops.masks import LEVELS, draw_threshold


@pytest.mark.parametrize(
    ("value", "limit"),
    [(0, "[0, 1)"), (0.999, "[0, 1)"), (1, "(0, 1]"), (5, "[1, inf)"), (float("inf"), "[1, inf]"), ("a", ["a", "b"])],
)
def test_within(value: Any, limit: Limit) -> None:
    assert within(value, limit)


@pytest.mark.parametrize(
    ("value", "limit"),
    [(1, "[0, 1)"), (0, "(0, 1]"), (float("inf"), "[1, inf)"), (float("nan"), "[0, 1]"), (True, "[0, 1]"),
     ("1", "[0, 1]"), (None, "[0, 1]"), ("c", ["a", "b"]), (1, [True]), ([], ["a"])],
)  # fmt: skip
def test_not_within(value: Any, limit: Limit) -> None:
    assert not within(value, limit)


@pytest.mark.parametrize(
    ("limit", "fits"),
    [("[0, 1)", True), ("(-inf, inf)", True), (["a", 1, True], True), ([], False), ([None], False), ("[1, 0]", False),
     ("[a, b]", False), ("[0,1]", False), (3, False), (None, False), ({"a": 1}, False)],
)  # fmt: skip
def test_is_limit(limit: Any, fits: bool) -> None:
    assert is_limit(limit) is fits


@pytest.mark.parametrize("probability", [0.0, 1e-300, 0.001, 1 / 512, 0.002, 1 / 256, 0.5, 0.998, 511 / 512, 0.999])
def test_a_probability_is_refused_where_its_masks_would_drop_nothing_or_all(probability: float) -> None:
    assert DROP_STEPS == LEVELS
    said = is_drop_probability(probability)
    assert said == (probability == 0 or 0 < round(probability * LEVELS) < LEVELS)
    near = nearest_drop_probability(probability)
    assert is_drop_probability(near) and abs(near - probability) <= 1 / LEVELS
    if near > 0:
        assert draw_threshold(near) == draw_threshold(probability)
    else:
        assert draw_threshold(probability)[1] == 1.0  # keeps all

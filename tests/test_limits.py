"""Intervals and lists as limits."""

from typing import Any

import pytest

from src.limits import Limit, is_limit, within


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

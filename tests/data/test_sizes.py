"""Part sizes of random splits."""

from typing import Any

import pytest

from depthlab.data.sizes import are_sizes, in_words, is_fractions


@pytest.mark.parametrize("sizes", [[0.6, 0.2, 0.2], [0.1, 0.1, 0.1], [20, 500, 1000], [1, 1, 1]])
def test_sizes(sizes: Any) -> None:
    assert are_sizes(sizes) and is_fractions(sizes) == (sizes[0] < 1)


@pytest.mark.parametrize(
    "sizes", [[0.6, 0.4], [0.6, 0.3, 0.2], [20, 0.5, 0.5], [0, 1, 1], [True, 1, 1], [20.5, 3, 3], "a", None, [-1, 3, 4]]
)
def test_invalid_sizes(sizes: Any) -> None:
    assert not are_sizes(sizes)


def test_words() -> None:
    assert in_words([0.6, 0.25, 0.15]) == "60, 25 and 15 % of every class"
    assert in_words([20, 500, 1000]) == "20 training nodes per class, 500 validation and 1000 test nodes"

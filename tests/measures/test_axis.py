"""Values on a logarithmic axis."""

import math

import numpy as np
from matplotlib.figure import Figure

from depthlab.measures.axis import ValueAxis


def test_zeros_lie_on_a_floor_below_the_smallest_value() -> None:
    axis = ValueAxis("log", [[1.0, 1e-3, 0.0, math.nan, math.inf]])
    assert axis.floor == 1e-4
    np.testing.assert_array_equal(axis.place([1.0, 0.0, math.nan, math.inf]), [1, 1e-4, math.nan, math.nan])
    axes = Figure().subplots()
    axes.plot(axis.place([1.0, 0.0]))
    axis.finish(axes)
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1e-4
    assert [text.get_text() for text in axes.texts] == ["0"]


def test_without_zeros_there_is_no_floor() -> None:
    axis = ValueAxis("log", [[1.0, 20.0]])
    axes = Figure().subplots()
    axes.plot(axis.place([1.0, 20.0]))
    axis.finish(axes)
    assert (axis.floor, axes.texts[:]) == (None, [])
    assert {1, 2, 5, 10}.issubset(np.round(axes.get_yticks(), 9))


def test_zeros_alone_are_drawn_on_a_linear_axis() -> None:
    axis = ValueAxis("log", [[0.0, 0.0], []])
    axes = Figure().subplots()
    axis.finish(axes)
    assert axis.place([0.0, 0.0]).tolist() == [0, 0]
    assert axes.get_yscale() == "linear"

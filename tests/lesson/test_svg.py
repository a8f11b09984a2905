"""Axes and elements of the charts."""

import math
import re
from xml.etree import ElementTree

import pytest

from depthlab.lesson.svg import Axis, Chart, decade, linear_axis, log_axis, spread


def test_an_axis_maps_its_ends_and_middle() -> None:
    assert [Axis(0, 10, 100, 300)(value) for value in (0, 5, 10)] == [100, 200, 300]
    assert [Axis(1, 100, 300, 100, True)(value) for value in (1, 10, 100)] == pytest.approx([300, 200, 100])


def test_what_is_outside_is_drawn_at_the_end() -> None:
    axis = log_axis([1e-6, 1.0, 0.0, math.inf, math.nan], 200, 0)
    assert (axis.low, axis.high) == (1e-7, 1.0), "zero has a decade of its own below the others"
    assert axis(0.0) == axis(1e-9) == 200
    assert axis(1e-6) < 200


@pytest.mark.parametrize(
    ("values", "ends"), [([0.02, 3.0], (0.01, 10)), ([1.0], (1, 10)), ([0.0], (0.1, 1)), ([], (1, 10))]
)
def test_a_logarithmic_axis_holds_whole_decades(values: list[float], ends: tuple[float, float]) -> None:
    axis = log_axis(values, 0, 1)
    assert (axis.low, axis.high) == pytest.approx(ends)
    assert 2 <= len(axis.ticks) <= 6


def test_ticks_are_round() -> None:
    assert [label for _, label in linear_axis(0, 32, 0, 1, 4).ticks] == ["0", "10", "20", "30"]
    assert [label for _, label in linear_axis(3951, 5420, 0, 1).ticks] == ["4000", "4500", "5000"]
    assert list(map(decade, (-6, -2, 0, 3, 4))) == ["10⁻⁶", "0.01", "1", "1000", "10⁴"]


def test_labels_keep_their_distance_and_order() -> None:
    placed = spread([50, 52, 10], 20, 0, 60)
    assert placed == [40, 60, 10]
    assert spread([5, 100], 20, 0, 200) == [5, 100]


def test_points_that_are_not_finite_are_left_out_and_texts_are_escaped() -> None:
    chart = Chart('<&"', Axis(0, 2, 0, 200), Axis(0, 1, 100, 0), "x", "<y>")
    chart.line([(0, 0.0), (1, math.nan), (2, 1.0)], "s0")
    chart.line([(0, math.nan)], "s1", "empty")
    chart.marker((1, 0.5), "s0", "circle", "</title>")
    root = ElementTree.fromstring(chart.svg())
    assert root.attrib["aria-label"] == '<&"' and root.attrib["role"] == "img"
    assert [path.attrib["d"] for path in root if path.attrib.get("class", "").startswith("line")] == [
        "M0.0,100.0L200.0,0.0", "",
    ]  # fmt: skip
    assert re.search(r"translate\(100\.0,50\.0\)", chart.svg())
    assert "</title>" in "".join(root.itertext())

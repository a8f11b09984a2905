"""Bands, labels of missing runs, and markers in figures."""

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from depthlab.measures.axis import ValueAxis
from depthlab.measures.diagnosis import VERDICTS
from depthlab.report.drawing import MARKERS, Missing, band, common_verdict, draw_band, draw_means, grid, legend
from depthlab.report.runs import Report
from depthlab.statistics import over_runs
from depthlab.study.methods import method_colors, method_looks
from depthlab.tasks.metrics import METRICS
from tests.report.conftest import METHODS

LOOK = ("#000000", "-")


def test_colours_and_markers_are_distinct(report: Report) -> None:
    colors = method_colors(report.runs["method"])
    assert list(colors) == list(METHODS)
    assert len(set(colors.values())) == len(METHODS)
    assert set(MARKERS) == set(VERDICTS)
    assert len(set(MARKERS.values())) == len(VERDICTS)


def test_a_band_has_the_quartiles_of_the_finite_values_and_counts_them() -> None:
    result = band([[1.0, 4.0], [], [3.0, math.inf], [5.0, math.nan]])
    assert result.quartiles[:, 0].tolist() == [2.0, 3.0, 4.0] and result.quartiles[:, 1].tolist() == [4.0] * 3
    assert result.runs.tolist() == [3, 1]
    assert band([]).quartiles.shape == (3, 0)


def test_neighbouring_methods_differ_in_grey_and_twenty_in_colour_and_dashes() -> None:
    looks = list(method_looks([f"method {k}" for k in range(20)]).values())
    assert len(set(looks)) == 20
    assert all(first[1] != second[1] for first, second in itertools.pairwise(looks))
    assert len({color for color, _ in looks[:10]}) == 10


def test_a_long_legend_is_not_cut_off() -> None:
    figure, _ = grid(1, 1, (6, 2), None)
    legend(figure, method_looks([f"method {k}" for k in range(20)]), {}, "mean", Missing())
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.y0 >= 0 and box.y1 <= figure.bbox.y1


def test_points_with_missing_runs_are_labelled_those_without_any_at_the_bottom() -> None:
    axes, marks = Figure().subplots(), Missing()
    marks.mark(axes, [2, 4, 8], [0.5, 0.6, math.nan], [3, 2, 0], [3, 3, 3], LOOK)
    assert [text.get_text() for text in axes.texts] == ["2 of 3", "0 of 3"]
    assert marks.any


def test_a_curve_is_labelled_where_the_number_of_its_runs_changes() -> None:
    axes, marks = Figure().subplots(), Missing()
    curve = band([[1.0, 1.0, 1.0], [1.0, math.nan, math.nan]])
    marks.mark_changes(axes, curve, curve.quartiles[1], 2, LOOK)
    assert [text.get_text() for text in axes.texts] == ["1 of 2"]


def test_markers_are_not_clipped_at_a_hundred_percent() -> None:
    axes = Figure().subplots()
    points = {2: over_runs({(0, "0"): 1.0, (1, "0"): 1.0})}
    draw_means(axes, points, {2: "healthy"}, LOOK, {}, Missing(), METRICS["acc"])
    line, marker = axes.lines
    assert np.asarray(line.get_ydata()).tolist() == [100.0] and marker.get_marker() == MARKERS["healthy"]
    assert not marker.get_clip_on()


def test_the_common_verdict_and_an_empty_band() -> None:
    runs = pd.DataFrame({"verdict": ["healthy", "diverged", "diverged"]})
    assert common_verdict(runs) == "diverged" and common_verdict(runs.iloc[:0]) == "unknown"
    axes = Figure().subplots()
    draw_band(axes, np.arange(2), np.full((3, 2), np.nan), LOOK, "o", ValueAxis("log", []))
    assert not axes.lines

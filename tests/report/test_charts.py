"""The data of the page's charts."""

import math

import pandas as pd
import pytest

from depthlab.measures.registry import in_report
from depthlab.report.charts import POINTS, charts
from depthlab.report.runs import Report
from tests.report.conftest import Frame


def test_scores_have_means_intervals_and_verdicts(frame: Frame) -> None:
    runs = pd.concat([frame("MLP", 2, [0.5]), frame("GCN", 2, [0.7, 0.8, 0.9]), frame("GCN", 4, [None, None, 0.5])])
    view = charts(Report("hand", runs), runs, ["MLP", "GCN"])[0]["views"][0]
    alone, curve = view["curves"]
    assert (alone["method"], alone["x"], alone["y"], alone["low"]) == (0, [2], [50], [50])  # one run has no interval
    assert (curve["method"], curve["x"], curve["y"]) == (1, [2, 4], [80, 50])
    half = 100 * 4.30265 * 0.1 / math.sqrt(3)
    assert (curve["low"][0], curve["high"][0]) == (pytest.approx(80 - half, rel=1e-3), 100)
    assert (curve["missing"], curve["verdicts"]) == (["", "1 of 3"], ["healthy", "diverged"])
    assert view["limits"] == [0, 100]


def test_a_value_that_is_not_a_number_is_none(frame: Frame) -> None:
    runs = pd.concat([frame("GCN", 2, [None], dirichlet_energy=math.inf), frame("GCN", 4, [0.5])])
    views = {view["label"]: view for view in charts(Report("hand", runs), runs, ["GCN"])[0]["views"]}
    assert views["test accuracy in %"]["curves"][0]["y"] == [None, 50]
    assert views["Dirichlet energy, last layer"]["curves"][0]["y"] == [None, 0.5]


def test_one_depth_has_no_chart_against_depth(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.5])
    curves = {(run_id, one.name): [1.0, 0.5, 0.25] for run_id in runs["run_id"] for one in in_report()}
    assert [chart["x"] for chart in charts(Report("hand", runs, curves), runs, ["GCN"])] == ["layer"]
    assert charts(Report("hand", runs), runs, ["GCN"]) == []


def test_a_zero_stays_and_a_long_curve_is_thinned(frame: Frame) -> None:
    runs = frame("GCN", 1000, [0.5])
    curves = {(run_id, "rayleigh_quotient"): [1.0] * 1000 + [0.0] for run_id in runs["run_id"]}
    (curve,) = charts(Report("hand", runs, curves), runs, ["GCN"])[0]["views"][0]["curves"]
    assert len(curve["x"]) == POINTS
    assert (curve["x"][0], curve["x"][-1], curve["y"][-1]) == (0, 1000, 0)

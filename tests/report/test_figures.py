"""The pictures of a study: what is in their axes, and that nothing a study can hold breaks them."""

import io
import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from depthlab.measures.registry import MEASURES, in_report
from depthlab.report.animation import Animation
from depthlab.report.drawing import MARKERS, style
from depthlab.report.figures import (
    FRAMES,
    animation_figure,
    depth_figure,
    layer_band,
    layers_figure,
    recorded,
    score_figure,
)
from depthlab.report.runs import Report
from depthlab.study.methods import COLORS, method_colors
from tests.report.conftest import DIVERGED, METHODS, Frame, Store


def png(figure: Figure) -> bytes:
    """The figure as it is written; Matplotlib draws it only then."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=40)
    assert picture.getvalue().startswith(b"\x89PNG")
    return picture.getvalue()


def drawn(axes: Axes) -> dict[str, Line2D]:
    """The curves of an axes by colour."""
    return {to_hex(line.get_color()).upper(): line for line in axes.lines if line.get_linestyle() != "None"}


def y(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def all_figures(report: Report) -> list[Figure]:
    return [score_figure(report), depth_figure(report), layers_figure(report, "cora", 2)]


def test_a_method_keeps_its_colour_in_all_figures(report: Report) -> None:
    expected = {method: color.upper() for method, color in method_colors(report.runs["method"]).items()}
    for figure in (score_figure(report), depth_figure(report), layers_figure(report, "csbm", 4)):
        handles = figure.legends[0].legend_handles
        named = {h.get_label(): to_hex(h.get_color()).upper() for h in handles if isinstance(h, Line2D)}
        assert {method: named[method] for method in METHODS} == expected
        for axes in figure.axes:
            assert set(drawn(axes)) <= set(expected.values())
            assert expected["GCNII"] in drawn(axes)


def test_accuracies_are_the_means_of_the_runs(recorded: Store, report: Report) -> None:
    (axes,) = score_figure(report).axes
    methods = drawn(axes)
    for name, color in method_colors(report.runs["method"]).items():
        method = methods[color.upper()]
        if name == DIVERGED:
            assert y(method) == []
            continue
        runs = {d: [recorded.run(name, d, seed).metrics["test_acc"] for seed in (0, 1, 2)] for d in (2, 4)}
        assert np.asarray(method.get_xdata()).tolist() == [2, 4]
        assert y(method) == pytest.approx([100 * statistics.fmean(values) for values in runs.values()])


def test_the_band_is_the_interval(frame: Frame) -> None:
    runs = {2: [0.6, 0.8, 0.7], 4: [0.8, 1.0, 0.9], 8: [0.5, 0.7]}  # beyond 100 % there is nothing; two tell no spread
    figure = score_figure(Report("hand", pd.concat([frame("GCN", depth, list(v)) for depth, v in runs.items()])))
    (band,) = figure.axes[0].collections
    corners = np.asarray(band.get_paths()[0].vertices)
    half = 100 * 4.30265 * 0.1 / math.sqrt(3)
    at = {depth: sorted(set(np.round(corners[corners[:, 0] == depth, 1], 2))) for depth in runs}
    expected = {2: [70 - half, 70 + half], 4: [90 - half, 100], 8: [60]}
    assert at == {depth: pytest.approx(ends, abs=0.01) for depth, ends in expected.items()}


def test_depth_axis_is_logarithmic_with_the_depths_as_ticks(report: Report) -> None:
    for figure in (score_figure(report), depth_figure(report)):
        for axes in figure.axes:
            assert axes.get_xscale() == "log"
            assert axes.xaxis.get_transform().transform(np.array([8.0])).tolist() == [3]
            assert axes.get_xticks().tolist() == [2, 4]
            assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4"]


def test_marker_is_the_most_frequent_verdict(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.8, 0.8, 0.8], verdict="healthy")
    deep = frame("GCN", 32, [0.1, 0.1, 0.1]).assign(verdict=["over-smoothed", "untrainable", "over-smoothed"])
    figure = score_figure(Report("hand", pd.concat([runs, deep])))
    markers = {float(np.asarray(line.get_xdata())[0]): line.get_marker() for line in figure.axes[0].lines[1:]}
    assert markers == {2: MARKERS["healthy"], 32: MARKERS["over-smoothed"]}
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"GCN", "healthy", "over-smoothed"}


def test_states_by_depth_are_medians(recorded: Store, report: Report) -> None:
    color = method_colors(report.runs["method"])["GCN"].upper()
    names = ("dirichlet_energy", "rayleigh_quotient", "effective_rank")
    for axes, name in zip(depth_figure(report).axes, names, strict=True):
        runs = [[recorded.run("GCN", d, seed).metrics[f"layer/{name}"] for seed in (0, 1, 2)] for d in (2, 4)]
        assert y(drawn(axes)[color]) == pytest.approx([statistics.median(values) for values in runs])
        assert axes.get_yscale() == "log"


def test_layers_are_medians_of_the_curves(report: Report) -> None:
    runs = report.runs[(report.runs["method"] == "GCNII") & (report.runs["depth"] == 4)]
    figure = layers_figure(report, "csbm", 4)
    for axes, measure in zip(figure.axes, recorded(report), strict=True):
        method = drawn(axes)[method_colors(report.runs["method"])["GCNII"].upper()]
        curves = [report.curves[run_id, measure.name] for run_id in runs["run_id"]]
        assert np.asarray(method.get_xdata()).tolist() == [0, 1, 2, 3, 4]
        assert y(method) == pytest.approx([statistics.median(values) for values in zip(*curves, strict=True)])


def test_one_diverged_run_does_not_hide_the_others(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.5, 0.5, None])
    curves = [[4.0, 3.0, 1.0], [4.0, 5.0, 3.0], [4.0, math.inf, math.nan]]
    held = {(run_id, "effective_rank"): curve for run_id, curve in zip(runs["run_id"], curves, strict=True)}
    found = layer_band(Report("hand", runs, held), runs, MEASURES["effective_rank"])
    assert found.quartiles.tolist() == [[4, 3.5, 1.5], [4, 4, 2], [4, 4.5, 2.5]]
    assert found.runs.tolist() == [2, 2, 2]
    assert len(layer_band(Report("hand", runs, held), runs, MEASURES["dirichlet_energy"]).runs) == 0


def test_missing_runs_are_counted_beside_points_and_explained_in_the_legend(frame: Frame) -> None:
    parts = [frame("GCN", 2, [0.8] * 3), frame("GCN", 4, [0.8, 0.8, None]), frame("GCN", 8, [None] * 3)]
    runs = pd.concat([*parts, frame("MLP", 8, [None] * 3)], ignore_index=True)
    runs.loc[runs["outcome"] == "diverged", ["dirichlet_energy", "rayleigh_quotient", "effective_rank"]] = math.nan
    curves = {(f"GCN-4-{seed}", one.name): [1.0] * 5 for seed in (0, 1) for one in in_report()}
    curves["GCN-4-0", "effective_rank"] = [1.0, 1.0, 1.0, math.nan, math.nan]
    found = Report("hand", runs, curves)
    for figure, marks in (
        (score_figure(found), [["2 of 3", "0 of 3", "0 of 3"]]),
        (depth_figure(found), [["2 of 3", "0 of 3", "0 of 3"]] * 3),
        (layers_figure(found, "cora", 4), [["2 of 3"], ["2 of 3"], ["2 of 3", "1 of 3"], ["2 of 3"], ["2 of 3"]]),
    ):
        png(figure)
        assert [[text.get_text() for text in axes.texts] for axes in figure.axes[: len(marks)]] == marks
        assert "2 of 3: runs with a value" in figure.legends[0].get_title().get_text()


def test_nothing_is_marked_where_every_run_has_a_value(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.8, 0.7, 0.6])
    figure = score_figure(Report("hand", runs))
    assert not figure.axes[0].texts
    assert figure.legends[0].get_title().get_text() == "mean, 95 % interval"


def test_two_runs_have_a_point_and_no_interval(frame: Frame) -> None:
    (axes,) = score_figure(Report("hand", frame("GCN", 2, [0.8, 0.6, None]))).axes
    (band,) = axes.collections
    assert np.unique(np.asarray(band.get_paths()[0].vertices)[:, 1]).tolist() == [70.0]


def test_the_animation_says_what_is_missing_or_diverged() -> None:
    animation = Animation("cora", "GCN", 2, np.ones((3, 5, 2), np.float32), np.arange(5) % 3, diverged=True)
    figure = animation_figure([animation], asked=2)
    assert figure.get_suptitle() == "1 of 2 networks: the others have no states"
    assert figure.axes[0].texts[0].get_text() == "GCN\ncora\n(diverged)"
    assert not animation_figure([animation], asked=1).get_suptitle()


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [math.inf, 1.0, 2.0], [math.nan] * 3])
def test_zeros_missing_runs_and_what_is_not_finite_can_be_drawn(frame: Frame, values: list[float]) -> None:
    measures = dict.fromkeys(("dirichlet_energy", "rayleigh_quotient", "effective_rank"), values)
    runs = frame("GCN", 2, [0.5, 0.5, 0.5]).assign(**measures)
    curves = {(run_id, one.name): list(values) for run_id in runs["run_id"] for one in in_report()}
    missing = frame("GCN", 4, [None], outcome="missing", verdict=None, run_id=None, **dict.fromkeys(measures, math.nan))
    for parts in ([runs], [missing], [runs, missing]):
        for figure in all_figures(Report("hand", pd.concat(parts), curves)):
            png(figure)


def test_every_dataset_has_its_row_of_panels(frame: Frame) -> None:
    runs = pd.concat([frame("GCN", 2, [0.5], dataset=name) for name in ("texas", "wisconsin")])
    assert [axes.get_title() for axes in score_figure(Report("hand", runs)).axes] == ["texas", "wisconsin"]
    titles = [axes.get_title() for axes in depth_figure(Report("hand", runs)).axes]
    assert titles == ["texas", "", "", "wisconsin", "", ""]


@pytest.mark.parametrize(("depth", "scale"), [(1, 1), (2, 0), (4, 1), (32, 1)])
def test_animation_shows_the_first_and_the_last_layer(depth: int, scale: int) -> None:
    points = scale * np.random.default_rng(0).normal(size=(depth + 1, 30, 2)).astype(np.float32)
    figure = animation_figure([Animation("cora", "GCN", depth, points, np.arange(30) % 10)])
    png(figure)
    assert len(figure.axes) == min(depth + 1, FRAMES)  # no column is empty
    shown = [int(axes.get_title().removeprefix("layer ")) for axes in figure.axes if axes.get_title()]
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (0, depth)
    for layer, axes in zip(shown, figure.axes, strict=False):
        (dots,) = axes.collections
        np.testing.assert_array_equal(np.asarray(dots.get_offsets()), points[layer])
        colors: Any = dots.get_facecolor()
        assert [to_hex(color).upper() for color in colors] == [COLORS[k % 10 % len(COLORS)] for k in range(30)]


def test_a_figure_for_a_paper_has_its_width_and_readable_type(report: Report) -> None:
    with rc_context(style(3.3)):
        made = [score_figure(report, 3.3), depth_figure(report, 3.3), layers_figure(report, "csbm", 4, 3.3)]
        made.append(animation_figure(report.animations, width=3.3))
        for figure in made:
            png(figure)
            assert figure.get_figwidth() == 3.3
            for axes in figure.axes:
                texts = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.get_xticklabels()]
                assert min(float(text.get_fontsize()) for text in texts) >= 7
        for figure in made[1:3]:  # one panel below the other
            assert len({round(axes.get_position().x0, 1) for axes in figure.axes if axes.axison}) == 1

"""Tasks by size: tables with published values, gains over the same network, factors per hop, and what is drawn."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D

from depthlab.report.runs import Report
from depthlab.report.task_range import (
    gain_rows,
    is_range_study,
    per_hop,
    range_figure,
    range_tables,
    sensitivity_figure,
)

TREE = "tree_neighbors_match"


def xy(line: Line2D) -> np.ndarray[Any, Any]:
    return np.asarray(line.get_xydata())


@pytest.fixture
def report(frame: Any) -> Report:
    """A GCN on trees of radius 2 and 3, as it is and rewired; three seeds; sensitivity falls by 0.5 and by 0.1."""
    parts: list[pd.DataFrame] = []
    curves: dict[tuple[str, str], list[float]] = {}
    for size, plain, rewired in ((2, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]), (3, [0.5, 0.6, 0.7], [0.8, 0.9, 1.0])):
        for method, rewiring, values, factor in (
            ("GCN", "none", plain, 0.1),
            ("GCN + FA", "fully_adjacent", rewired, 0.5),
        ):
            part = frame(
                method, size + 2, values, dataset=f"tree {size}", task=TREE, size=float(size), rewiring=rewiring
            )
            part = part.assign(train_acc=values, chance=0.5**size, task_range=float(size))
            part["run_id"] = [f"{method}-{size}-{seed}" for seed in part["seed"]]
            for run_id in part["run_id"]:
                curves[run_id, "sensitivity"] = [7 * factor**hop for hop in range(size + 1)]
                curves[run_id, "walk_weight"] = [0.25**hop for hop in range(size + 1)]
            parts.append(part)
    return Report("hand", pd.concat(parts, ignore_index=True), curves=curves)


def test_only_tasks_of_several_sizes_are_a_range(report: Report, frame: Any) -> None:
    assert is_range_study(report.runs)
    assert not is_range_study(report.runs[report.runs["size"] == 2])
    assert not is_range_study(frame("GCN", 2, [0.5]))


def test_the_table_stands_beside_the_published_row_and_guessing(report: Report) -> None:
    runs = report.runs
    runs["model"], runs["overrides"] = "residual_gcn", "model=residual_gcn norm=layer"
    text = range_tables(report)
    assert "- [bottleneck]: Alon & Yahav 2021; " in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    training = rows[: rows.index(["method", "2", "3"], 1)]
    assert training == [
        ["method", "2", "3"],
        ["GCN", "100.0 ± 0.0", "60.0 ± 24.8"],
        ["*published* [bottleneck]", "100", "100"],
        ["GCN + FA", "100.0 ± 0.0", "90.0 ± 24.8"],
        ["guessing", "25.0", "12.5"],
    ]


def test_the_published_row_does_not_stand_below_another_network(report: Report) -> None:
    """The paper's networks have a residual and a layer norm in every layer."""
    assert "bottleneck" not in range_tables(report)
    report.runs["model"] = "residual_gcn"
    assert "bottleneck" not in range_tables(report)


def test_a_rewiring_is_compared_with_the_same_network_run_by_run(report: Report) -> None:
    text = range_tables(report)
    assert "| GCN + FA - GCN | +0.0 ± 0.0 | +30.0 ± 0.0 |" in text
    report.runs.drop(columns="rewiring", inplace=True)
    assert "paired" not in range_tables(report)


def test_of_two_variants_of_a_model_each_rewired_one_is_compared_with_its_own(report: Report) -> None:
    """`rings` has ACMP and attraction alone, the same model with other settings, and both with FoSR."""
    plain, rewired = (report.runs[report.runs["method"] == method] for method in ("GCN", "GCN + FA"))
    overrides = "model=gcn model.bias=true rewiring=fosr rewiring.num_edges=4 seed=0"
    variants = [
        plain.assign(overrides="model=gcn seed=0"),
        rewired.assign(overrides="model=gcn rewiring=fully_adjacent seed=0"),
        plain.assign(method="biased", overrides="model=gcn model.bias=true seed=0", test_acc=plain["test_acc"] / 2),
        rewired.assign(method="biased + FoSR", overrides=overrides, rewiring="fosr"),
        rewired.assign(method="tuned + FoSR", overrides=f"lr=1 {overrides}", rewiring="fosr"),
    ]
    rows = gain_rows(pd.concat(variants, ignore_index=True))
    assert [row[0] for row in rows[1:]] == ["GCN + FA - GCN", "biased + FoSR - biased", "tuned + FoSR - GCN"]
    assert [row[1] for row in rows[1:]] == ["+0.0 ± 0.0", "+50.0 ± 0.0", "+0.0 ± 0.0"]


def test_the_factor_per_hop_is_measured_between_the_node_and_the_answer(report: Report) -> None:
    text = range_tables(report)
    assert "| GCN | 0.1 / 0.25 | 0.1 / 0.25 |" in text
    assert "| GCN + FA | 0.5 / 0.25 | 0.5 / 0.25 |" in text
    runs = report.runs[report.runs["size"] == 3]
    assert per_hop(np.array([8.0, 1, 1, 1]), runs) == pytest.approx(0.5)
    assert np.isnan(per_hop(np.array([8.0, 1]), runs))  # the network does not reach the answer
    report.curves.clear()
    assert "factor" not in range_tables(report)


def test_accuracy_is_drawn_against_size_beside_guessing(report: Report) -> None:
    report.runs.loc[report.runs["size"] == 3, "test_acc"] -= 0.2
    training, test = range_figure(report).axes
    assert (training.get_ylabel(), test.get_ylabel()) == ("training accuracy in %", "test accuracy in %")
    drawn = [points.T.tolist() for line in training.lines if len(points := xy(line)) == 2]
    assert [x for x, _ in drawn] == [[2, 3]] * 3
    assert [y for _, y in drawn] == [pytest.approx(y) for y in ([100, 60], [100, 90], [25, 12.5])]


def test_equal_scores_of_training_and_test_are_drawn_once(report: Report) -> None:
    (both,) = range_figure(report).axes
    assert both.get_ylabel() == "training and test accuracy in %"


def test_sensitivity_is_drawn_as_a_share_of_hop_0_with_the_walks(report: Report) -> None:
    small, large = sensitivity_figure(report).axes
    assert (small.get_title(), large.get_title()) == (f"{TREE} 2: gcn", f"{TREE} 3: gcn")
    curves = [points[:, 1].tolist() for line in large.lines if len(points := xy(line)) == 4]
    assert curves == [pytest.approx([factor**hop for hop in range(4)]) for factor in (0.1, 0.5, 0.25)]


def test_what_has_no_result_is_left_out(report: Report) -> None:
    report.runs.loc[report.runs["method"] == "GCN + FA", ["train_acc", "test_acc"]] = np.nan
    assert "| GCN + FA | - (0 of 3) | - (0 of 3) |" in range_tables(report)
    (both,) = range_figure(report).axes
    assert len([line for line in both.lines if len(xy(line)) == 2]) == 2  # GCN and guessing

"""Which repulsion is named the best, and what is drawn of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from depthlab.report.repulsion import best_repulsion, repulsion_figure
from depthlab.report.runs import Report

FLAT, RISING = {0.0: [0.8, 0.9, 0.7], 1.0: [0.79, 0.91, 0.69]}, {0.0: [0.5, 0.51, 0.49], 1.0: [0.8, 0.81, 0.79]}


@pytest.fixture
def runs(frame: Any) -> pd.DataFrame:
    """Two graphs; test accuracies say the opposite of validation ones."""
    parts = []
    for dataset, homophily, val in (("csbm 0.9", 0.9, FLAT), ("texas", 0.1, RISING)):
        for beta, values in val.items():
            part = frame(f"ACMP repulsion={beta:g}", 8, [1 - value for value in values])
            parts.append(part.assign(dataset=dataset, homophily=homophily, repulsion=beta, val_acc=values))
    return pd.concat(parts, ignore_index=True)


def points(axes: Axes) -> set[tuple[float, ...]]:
    """Where the best repulsions are drawn."""
    return {tuple(np.asarray(line.get_xydata())[0]) for line in axes.lines if line.get_marker() == "o"}


def test_the_best_is_chosen_on_validation_data_and_ties_are_within_its_interval(runs: pd.DataFrame) -> None:
    found = best_repulsion(runs).set_index("dataset")
    assert found["best"].to_dict() == {"csbm 0.9": 0.0, "texas": 1.0}
    assert found["ties"].to_dict() == {"csbm 0.9": [0.0, 1.0], "texas": [1.0]}
    assert found.loc["texas", "val"] == pytest.approx(0.8)
    assert found.loc["texas", ["test", "test_without"]].tolist() == pytest.approx([0.2, 0.5])
    assert found["homophily"].to_dict() == {"csbm 0.9": 0.9, "texas": 0.1}


def test_a_repulsion_that_diverged_once_is_not_drawn_as_the_best(runs: pd.DataFrame) -> None:
    worst = (runs["dataset"] == "texas") & (runs["repulsion"] == 1.0) & (runs["seed"] == 2)
    runs.loc[worst, "val_acc"] = np.nan
    _, right = repulsion_figure(Report("hand", runs)).axes
    assert points(right) == {(0.9, 0.0), (0.1, 0.0)}


def test_graphs_without_a_best_repulsion_are_drawn_with_their_missing_runs(runs: pd.DataFrame) -> None:
    runs.loc[runs["seed"] == 2, "val_acc"] = np.nan
    runs.loc[runs["dataset"] == "texas", "val_acc"] = np.nan
    left, right = repulsion_figure(Report("hand", runs)).axes
    assert sorted(text.get_text() for text in left.texts) == ["0 of 3", "0 of 3", "2 of 3", "2 of 3"]
    assert [line.get_label() for line in left.lines] == ["texas (homophily 0.10)", "csbm 0.9 (homophily 0.90)"]
    assert best_repulsion(runs).empty and not [line for line in right.lines if np.size(line.get_xdata())]


def test_a_line_for_every_graph_and_a_point_at_its_homophily(runs: pd.DataFrame) -> None:
    left, right = repulsion_figure(Report("hand", runs)).axes
    drawn = {line.get_label(): line for line in left.lines}
    assert list(drawn) == ["texas (homophily 0.10)", "csbm 0.9 (homophily 0.90)"]
    assert np.asarray(drawn["texas (homophily 0.10)"].get_xdata()).tolist() == [0.0, 1.0]
    assert np.asarray(drawn["texas (homophily 0.10)"].get_ydata()).tolist() == pytest.approx([50.0, 80.0])
    assert points(right) == {(0.9, 0.0), (0.1, 1.0)}
    assert [text.get_text() for text in right.texts] == ["texas"]

"""Which repulsion is named the best, and what is drawn of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

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


def test_the_best_is_chosen_on_validation_data_and_ties_are_within_its_interval(runs: pd.DataFrame) -> None:
    found = best_repulsion(runs).set_index("dataset")
    assert found["best"].to_dict() == {"csbm 0.9": 0.0, "texas": 1.0}
    assert found["ties"].to_dict() == {"csbm 0.9": [0.0, 1.0], "texas": [1.0]}
    assert found.loc["texas", "val"] == pytest.approx(0.8)
    assert found.loc["texas", ["test", "test_without"]].tolist() == pytest.approx([0.2, 0.5])
    assert found["homophily"].to_dict() == {"csbm 0.9": 0.9, "texas": 0.1}


def test_runs_without_a_score_do_not_count(runs: pd.DataFrame) -> None:
    runs.loc[(runs["dataset"] == "texas") & (runs["repulsion"] == 1.0), "val_acc"] = np.nan
    found = best_repulsion(runs).set_index("dataset")
    assert found.loc["texas", "best"] == 0.0


def test_a_repulsion_that_diverged_once_is_not_drawn_as_the_best(runs: pd.DataFrame) -> None:
    worst = (runs["dataset"] == "texas") & (runs["repulsion"] == 1.0) & (runs["seed"] == 2)
    runs.loc[worst, "val_acc"] = np.nan
    _, right = repulsion_figure(Report("hand", runs)).axes
    points = [method for method in right.lines if method.get_marker() == "o"]
    at = {(float(np.asarray(p.get_xdata())[0]), float(np.asarray(p.get_ydata())[0])) for p in points}
    assert at == {(0.9, 0.0), (0.1, 0.0)}


def test_graphs_without_a_best_repulsion_are_drawn_with_their_missing_runs(runs: pd.DataFrame) -> None:
    runs.loc[runs["seed"] == 2, "val_acc"] = np.nan
    runs.loc[runs["dataset"] == "texas", "val_acc"] = np.nan
    left, right = repulsion_figure(Report("hand", runs)).axes
    assert sorted(text.get_text() for text in left.texts) == ["0 of 3", "0 of 3", "2 of 3", "2 of 3"]
    assert [method.get_label() for method in left.lines] == ["texas (homophily 0.10)", "csbm 0.9 (homophily 0.90)"]
    assert best_repulsion(runs).empty and not [method for method in right.lines if np.size(method.get_xdata())]


def test_a_method_for_every_graph_and_a_point_at_its_homophily(runs: pd.DataFrame) -> None:
    left, right = repulsion_figure(Report("hand", runs)).axes
    drawn = {method.get_label(): method for method in left.lines}
    assert list(drawn) == ["texas (homophily 0.10)", "csbm 0.9 (homophily 0.90)"]
    assert np.asarray(drawn["texas (homophily 0.10)"].get_xdata()).tolist() == [0.0, 1.0]
    assert np.asarray(drawn["texas (homophily 0.10)"].get_ydata()).tolist() == pytest.approx([50.0, 80.0])
    points = [method for method in right.lines if method.get_marker() == "o"]
    at = {(float(np.asarray(p.get_xdata())[0]), float(np.asarray(p.get_ydata())[0])) for p in points}
    assert at == {(0.9, 0.0), (0.1, 1.0)}
    assert [text.get_text() for text in right.texts] == ["texas"]

"""A rewiring beside none and beside random edges."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from depthlab.report.rewiring import has_rewirings, rewiring_rows


@pytest.fixture
def runs(frame: Any) -> pd.DataFrame:
    """Tuned to depths of their own: none to 2, random and FoSR to 3."""
    parts = [
        frame("GCN", 2, [0.5, 0.6, 0.7], rewiring="none"),
        frame("GCN + random", 3, [0.6, 0.7, 0.8], rewiring="random"),
        frame("GCN + FoSR", 3, [0.65, 0.75, 0.85], rewiring="fosr"),
        frame("MLP", 2, [0.9, 0.9, 0.9], rewiring="none", model="mlp"),
    ]
    return pd.concat(parts, ignore_index=True)


def test_differences_are_of_the_same_model_whatever_the_depth(runs: pd.DataFrame) -> None:
    assert rewiring_rows(runs) == [
        ["method", "depth", "test accuracy", "- none", "- random edges"],
        ["GCN", "2", "60.0 ± 24.8", "-", "-"],
        ["GCN + random", "3", "70.0 ± 24.8", "+10.0 ± 0.0", "-"],
        ["GCN + FoSR", "3", "75.0 ± 24.8", "+15.0 ± 0.0", "+5.0 ± 0.0"],
        ["MLP", "2", "90.0 ± 0.0", "-", "-"],
    ]


def test_of_several_depths_the_same_one_counts(runs: pd.DataFrame, frame: Any) -> None:
    deep = frame("GCN", 3, [0.1, 0.2, 0.3], rewiring="none")
    rows = {(row[0], row[1]): row[3] for row in rewiring_rows(pd.concat([runs, deep]))}
    assert rows["GCN + FoSR", "3"] == "+55.0 ± 0.0"
    other = frame("GCN + SDRF", 4, [0.1, 0.2, 0.3], rewiring="sdrf")
    rows = {(row[0], row[1]): row[3] for row in rewiring_rows(pd.concat([runs, deep, other]))}
    assert rows["GCN + SDRF", "4"] == "-"


def test_a_diverged_run_is_left_out_of_its_pair(runs: pd.DataFrame) -> None:
    runs.loc[(runs["method"] == "GCN + FoSR") & (runs["seed"] == 2), "test_acc"] = np.nan
    row = next(row for row in rewiring_rows(runs) if row[0] == "GCN + FoSR")
    assert row[2:] == ["70.0 (2 of 3)", "+15.0 (2 of 3)", "+5.0 (2 of 3)"]


def test_only_studies_with_and_without_are_compared(runs: pd.DataFrame) -> None:
    assert has_rewirings(runs)
    assert not has_rewirings(runs[runs["rewiring"] == "none"])
    assert not has_rewirings(runs.drop(columns="rewiring"))

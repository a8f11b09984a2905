"""Figures of a sweep: one of each kind that its trials allow, the pages without a network."""

from typing import Any

import pytest
from matplotlib import pyplot, rcParams
from optuna.trial import TrialState

from depthlab.sweep.figures import figures, importances
from depthlab.sweep.search import Search
from tests.sweep.conftest import Sweep, add


def filled(sweep: Sweep, values: list[list[float]], **changes: Any) -> tuple[Any, Search]:
    """A study of these values, the larger the larger p_drop is."""
    search = sweep.search(**changes)
    study = sweep.study(search)
    for k, value in enumerate(values):
        add(study, search, value, {"p_drop": 0.1 * k, "dropout": 0.1 * (k * 3 % 7)})
    return study, search


def test_every_figure(sweep: Sweep) -> None:
    study, search = filled(sweep, [[0.5 + 0.1 * k] for k in range(5)])
    before = dict(rcParams)
    drawn = figures(study, search, importances(study))
    assert [name for name, _, _ in drawn] == ["history", "parallel_coordinates", "slice", "importance"]
    for _, picture, page in drawn:
        assert picture.get_size_inches()[0] >= 7
        assert page.startswith("<!doctype html>")
        assert "Plotly.newPlot" in page
        for link in ('src="http', "src='http", "cdn.plot.ly/plotly"):
            assert link not in page
    assert dict(rcParams) == before
    assert not pyplot.get_fignums()  # none is left open


def test_a_trade_off_has_one_more(sweep: Sweep) -> None:
    study, search = filled(sweep, [[0.5 + 0.1 * k, 1 + k] for k in range(5)], objective=["val_acc", "seconds"])
    *_, (name, _, page) = figures(study, search, importances(study))
    assert name == "pareto"
    assert '"val_acc"' in page
    assert '"seconds"' in page


def test_importances_are_shares_of_the_first_objective(sweep: Sweep) -> None:
    study, _ = filled(sweep, [[0.5 + 0.1 * k] for k in range(7)])
    shares = importances(study)
    assert list(shares) == ["p_drop", "dropout"]  # the larger first
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("values", [[], [[0.5], [0.6]], [[0.5], [0.5], [0.6], [0.6]]])
def test_too_few_values_to_say_anything(sweep: Sweep, values: list[list[float]]) -> None:
    study, search = filled(sweep, values)
    add(study, search, [], {"p_drop": 0.1, "dropout": 0.1}, state=TrialState.PRUNED)
    assert importances(study) == {}
    assert figures(study, search, importances(study)) == []


@pytest.mark.parametrize("space", [{"p_drop": "interval(0, 0.8)"}, {"norm": "none,batch"}])
def test_a_single_hyperparameter(sweep: Sweep, space: dict[str, str]) -> None:
    search = sweep.search(space=space)
    study = sweep.study(search)
    for k in range(4):
        value = 0.1 * k if "p_drop" in space else ("none", "batch")[k % 2]
        add(study, search, [0.5 + 0.1 * k], {next(iter(space)): value})
    assert len(figures(study, search, importances(study))) == 4

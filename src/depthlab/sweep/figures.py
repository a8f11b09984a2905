"""Figures of a sweep: Optuna's own plots of its history, space and importances, as PNG and as offline page."""

import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import optuna
import optuna.visualization as pages
import optuna.visualization.matplotlib as pictures
from matplotlib import pyplot
from matplotlib.figure import Figure
from optuna.trial import TrialState

from depthlab.sweep.search import Search

Drawing = tuple[str, Figure, str]  # file name without its ending, picture, page


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of the first objective's variance that each hyperparameter explains (fANOVA), the largest first.

    Empty if there are fewer than three different values.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.values[0] for trial in complete}) < 3:
        return {}
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=fanova, target=lambda trial: trial.values[0])


def figures(study: optuna.Study, search: Search, shares: dict[str, float]) -> list[Drawing]:
    """Every figure that the trials so far allow, given the importances."""
    if not shares:
        return []
    target: dict[str, Any] = {}
    if len(search.objectives) > 1:
        target = {"target": lambda trial: trial.values[0], "target_name": search.objectives[0]}
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "history": ("plot_optimization_history", target),
        "parallel_coordinates": ("plot_parallel_coordinate", target),
        "slice": ("plot_slice", target),
        "importance": ("plot_param_importances", target | {"evaluator": fanova}),
    }
    if len(search.objectives) > 1:
        wanted["pareto"] = ("plot_pareto_front", {"target_names": search.objectives})
    return [(name, _picture(study, *how), _page(study, *how)) for name, how in wanted.items()]


def _picture(study: optuna.Study, name: str, how: dict[str, Any]) -> Figure:
    draw: Callable[..., Any] = getattr(pictures, name)
    with warnings.catch_warnings(), matplotlib.rc_context():  # Optuna sets a style for the whole process
        warnings.simplefilter("ignore")
        axes = draw(study, **how)
        first = axes.flat[0] if hasattr(axes, "flat") else axes
        figure: Figure = first.figure
        width = 3.2 * axes.size if hasattr(axes, "size") else 7.0
        figure.set_size_inches(max(width, 7.0), 4.4)
        figure.set_layout_engine("none")  # Optuna places its axes itself
        pyplot.close(figure)
    return figure


def _page(study: optuna.Study, name: str, how: dict[str, Any]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = getattr(pages, name)(study, **how)
    figure.update_layout(template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True))

"""The methods of a study and their statistics by depth."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.study.methods import by_depth, methods_of
from depthlab.study.plan import make_plan
from depthlab.tracking.search import Recorded
from tests.study.conftest import Study

ONE = {"GCN": "model=gcn"}
Make = Callable[..., Recorded]


def test_methods_that_differ_in_punctuation_alone_are_refused(study: Study) -> None:
    with pytest.raises(UserError, match=r"^two methods would write the file csbm-gcn-0-2\.json: rename 'GCN 0"):
        methods_of(study.planned("depth=2", methods={"GCN 0.2": "model=gcn", "GCN 0,2": "model=mlp"}))


def test_runs_that_are_missing_from_a_mean_are_counted(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2", "seed=range(4)", methods=ONE)
    data = load(planned[0].settings.dataset)[1]
    good: dict[str, Any] = {"test_acc": 0.8, "layer/dirichlet_energy": 0.5, "layer/effective_rank": 3.0}
    bad = {"layer/dirichlet_energy": math.nan, "layer/effective_rank": math.inf}
    runs = [recorded(planned[0], data, metrics=good, verdict="healthy")]
    runs += [
        recorded(planned_run, data, metrics=bad, outcome="diverged", verdict="diverged") for planned_run in planned[1:3]
    ]
    (method,) = methods_of(planned)
    assert by_depth(method, make_plan(planned, runs, same_code=False)) == {
        2: {"runs": 4, "test_acc": 0.8, "test_acc_runs": 1, "dirichlet_energy": 0.5,
            "dirichlet_energy_runs": 1, "effective_rank": 3.0, "effective_rank_runs": 1,
            "seconds": 0.0, "seconds_runs": 3,
            "verdicts": "2 diverged, 1 healthy, 1 without a result"}
    }  # fmt: skip

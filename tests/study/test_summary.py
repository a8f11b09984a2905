"""What a study prints."""

from collections.abc import Callable

import pytest

from depthlab.data.prepare import load
from depthlab.study.methods import methods_of
from depthlab.study.plan import make_plan
from depthlab.study.summary import duration, listing, results
from depthlab.tracking.search import Recorded, Records
from tests.study.conftest import Study

Make = Callable[..., Recorded]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (600, "10 min"),
        (5370, "1 h 30 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_listing(study: Study, recorded: Make) -> None:
    planned = study.planned()
    data = load(planned[0].settings.dataset)[1]
    done = [
        recorded(planned_run, data) for planned_run in planned if planned_run.method == "GCN" or planned_run.seed == 0
    ]
    text = listing("small", make_plan(planned, done, same_code=False), 125, 2)
    assert text.splitlines() == [
        "study small: 8 runs, 6 done, 2 to do",
        "  csbm GCN: depth 2, 4, 2 runs each; done",
        "  csbm GCNII: depth 2, 4, 2 runs each; 2 of 4 to do",
        "  about 2 min with jobs=2",
        "  6 results were computed by another version of the code: reuse=same_code trains them again",
    ]


def test_depths_that_have_fewer_runs_are_listed_apart(study: Study) -> None:
    planned = [
        planned_run
        for planned_run in study.planned("depth=2,4,8", methods={"GCN": "model=gcn"})
        if planned_run.depth < 8 or not planned_run.seed
    ]
    text = listing("small", make_plan(planned, [], same_code=False), 1, 1)
    assert "csbm GCN: depth 2, 4, 2 runs each, depth 8, 1 run each; 5 of 5 to do" in text


def test_results(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2,4,8", methods={"GCN": "model=gcn"})
    data = load(planned[0].settings.dataset)[1]
    scores = {(2, 0): 0.8, (2, 1): 0.9, (4, 0): 0.5}
    runs = []
    for planned_run in planned:
        score = scores.get((planned_run.depth, planned_run.seed))
        if planned_run.depth == 8:
            runs.append(recorded(planned_run, data, outcome="diverged", verdict="diverged"))
        elif score is not None:
            runs.append(recorded(planned_run, data, metrics={"test_acc": score}, verdict="healthy"))
    plan = make_plan(planned, runs, same_code=False)
    methods = results("small", methods_of(planned), plan, study.records).splitlines()
    assert methods[1:7] == [
        "  csbm GCN, accuracy in %",
        "    depth    2: 85.0           2 healthy",
        "    depth    4: 50.0 (1 of 2)  1 healthy, 1 without a result",
        "    depth    8: none (0 of 2)  2 diverged",
        "  1 runs failed: the same command tries them again",
        "  5 results were computed by another version of the code: reuse=same_code trains them again",
    ]
    assert "depthlab ui, then http" in methods[7]  # the store of the project folder, which needs no address
    assert methods[8].endswith("depthlab report study=small")


def test_results_of_data_that_is_measured_by_roc_auc(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2", "dataset.metric=roc_auc", methods={"GCN": "model=gcn"})
    data = load(planned[0].settings.dataset)[1]
    metrics = {"test_acc": 0.8, "test_roc_auc": 0.9}
    runs = [recorded(planned_run, data, metrics=metrics, verdict="healthy") for planned_run in planned]
    plan = make_plan(planned, runs, same_code=False)
    methods = results("small", methods_of(planned), plan, study.records).splitlines()
    assert methods[1:3] == ["  csbm GCN, ROC-AUC in %", "    depth    2: 90.0  2 healthy"]


def test_a_report_is_asked_for_where_the_runs_are(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Records(study.uri, "my lesson")
    plan = make_plan([], [], same_code=False)
    assert results("small", [], plan, elsewhere).endswith("report study=small tracking.experiment='my lesson'")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my lesson")
    assert results("small", [], plan, elsewhere).endswith("report study=small")

"""What a study prints."""

from collections.abc import Callable

import pytest

from depthlab.data.prepare import load
from depthlab.study.lines import lines_of
from depthlab.study.plan import make_plan
from depthlab.study.summary import duration, listing, results
from depthlab.tracking.search import Recorded
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
    cells = study.cells()
    data = load(cells[0].settings["dataset"])[1]
    done = [recorded(cell, data) for cell in cells if cell.line == "GCN" or cell.seed == 0]
    text = listing("small", make_plan(cells, done, same_code=False), 125, 2)
    assert text.splitlines() == [
        "study small: 8 cells, 6 done, 2 to do",
        "  csbm GCN: depth 2, 4, 2 runs each; done",
        "  csbm GCNII: depth 2, 4, 2 runs each; 2 of 4 to do",
        "  about 2 min with jobs=2",
        "  6 results are of other code than the present: reuse=same_code runs these cells again",
    ]


def test_depths_that_have_fewer_runs_are_listed_apart(study: Study) -> None:
    cells = [cell for cell in study.cells("depth=2,4,8", lines={"GCN": "model=gcn"}) if cell.depth < 8 or not cell.seed]
    text = listing("small", make_plan(cells, [], same_code=False), 1, 1)
    assert "csbm GCN: depth 2, 4, 2 runs each, depth 8, 1 run each; 5 of 5 to do" in text


def test_results(study: Study, recorded: Make) -> None:
    cells = study.cells("depth=2,4,8", lines={"GCN": "model=gcn"})
    data = load(cells[0].settings["dataset"])[1]
    scores = {(2, 0): 0.8, (2, 1): 0.9, (4, 0): 0.5}
    runs = []
    for cell in cells:
        score = scores.get((cell.depth, cell.seed))
        if cell.depth == 8:
            runs.append(recorded(cell, data, outcome="diverged", verdict="diverged"))
        elif score is not None:
            runs.append(recorded(cell, data, metrics={"test_acc": score}, verdict="healthy"))
    plan = make_plan(cells, runs, same_code=False)
    lines = results("small", lines_of(cells), plan, study.records).splitlines()
    assert lines[1:7] == [
        "  csbm GCN, accuracy in %",
        "    depth    2: 85.0                 2 healthy",
        "    depth    4: 50.0 (1 of 2)        1 healthy, 1 without a result",
        "    depth    8: none (0 of 2)        2 diverged",
        "  1 cells failed: the same command tries them again",
        "  5 results are of other code than the present: reuse=same_code runs these cells again",
    ]
    assert "depthlab ui, then http" in lines[7]  # the store of the project folder, which needs no address
    assert lines[8].endswith("depthlab report study=small")


def test_results_of_data_that_is_measured_by_roc_auc(study: Study, recorded: Make) -> None:
    cells = study.cells("depth=2", "dataset.metric=roc_auc", lines={"GCN": "model=gcn"})
    data = load(cells[0].settings["dataset"])[1]
    metrics = {"test_acc": 0.8, "test_roc_auc": 0.9}
    runs = [recorded(cell, data, metrics=metrics, verdict="healthy") for cell in cells]
    plan = make_plan(cells, runs, same_code=False)
    lines = results("small", lines_of(cells), plan, study.records).splitlines()
    assert lines[1:3] == ["  csbm GCN, ROC-AUC in %", f"    depth    2: {'90.0':20} 2 healthy"]

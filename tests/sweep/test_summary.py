"""What a sweep prints, in words for every case."""

import io
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from depthlab.parallel import TaskResult
from depthlab.sweep.figures import importances
from depthlab.sweep.queue import requeue
from depthlab.sweep.search import Search
from depthlab.sweep.summary import Progress, difference, format_params, ranked, summary
from tests.sweep.conftest import Sweep, add

START = {"p_drop": 0.0, "dropout": 0.5}
OTHER = {"p_drop": 0.25, "dropout": 0.1}


def said(sweep: Sweep, study: optuna.Study, search: Search) -> list[str]:
    return summary(study, search, importances(study), "the link").splitlines()


def trainings(*scores: float) -> dict[str, Any]:
    return {f"training {k}": {"val_acc": score} for k, score in enumerate(scores)}


def test_the_best_against_the_start(sweep: Sweep) -> None:
    search = sweep.search(seeds=3)
    study = sweep.study(search)
    add(study, search, [0.6], START, **trainings(0.5, 0.6, 0.7))
    add(study, search, [0.8], OTHER, **trainings(0.69, 0.8, 0.91))
    add(study, search, [0.799], {"p_drop": 0.5, "dropout": 0.1}, **trainings(0.688, 0.8, 0.909))
    lines = said(sweep, study, search)
    assert lines[:5] == [
        "sweep small: 3 trials, 3 complete",
        "  best val_acc 80.0 % (trial 1): p_drop=0.25 dropout=0.1",
        "  baseline val_acc 60.0 %: p_drop=0 dropout=0.5",
        "  difference +20.0 ± 2.5 points (95 %, paired) on the trainings that selected it, so it is optimistic;"
        " the test on fresh seeds is not",
        "  1 other trials do not differ significantly from the best on these trainings",
    ]
    assert lines[5].startswith("  importance: ")
    assert lines[5].endswith(" % of the variance between complete trials")
    assert lines[6] == "  to see it      the link"


def test_the_start_is_the_best(sweep: Sweep) -> None:
    search = sweep.search()
    study = sweep.study(search)
    for value, params in ((0.8, START), (0.8, OTHER), (0.7, OTHER)):
        add(study, search, [value], params)
    assert "  which is the baseline: no trial was better" in said(sweep, study, search)


def test_a_loss_is_better_when_lower(sweep: Sweep) -> None:
    search = sweep.search(objective="val_loss")
    study = sweep.study(search)
    add(study, search, [0.8], START)
    add(study, search, [0.7], OTHER)
    assert [trial.number for trial in ranked(study, search)] == [1, 0]
    assert "  best val_loss 0.7 (trial 1): p_drop=0.25 dropout=0.1" in said(sweep, study, search)


def test_the_start_was_not_finished(sweep: Sweep) -> None:
    search = sweep.search()
    study = sweep.study(search)
    add(study, search, [0.8], OTHER)
    line = "  the trial of the baseline, p_drop=0 dropout=0.5, is not complete"
    assert line in said(sweep, study, search)


def test_trials_that_failed_were_pruned_or_given_back(sweep: Sweep) -> None:
    search = sweep.search()
    study = sweep.study(search)
    add(study, search, [], START, state=TrialState.PRUNED, reason="behind")
    add(study, search, [], OTHER, state=TrialState.FAIL, reason="a process was killed")
    add(study, search, [], OTHER, state=TrialState.FAIL)
    study.enqueue_trial(OTHER)
    study.ask()
    assert requeue(study, study.get_trials()[-1]._trial_id, None)
    assert said(sweep, study, search) == [
        "sweep small: 3 trials, 1 pruned, 2 failed",
        "  trial 1 failed: a process was killed",
        "  trial 2 failed: unknown",
        "  no trial is complete: widen the space, or look at the reasons in MLflow",
    ]


def test_a_trade_off(sweep: Sweep) -> None:
    search = sweep.search(objective=["val_acc", "seconds"])
    study = sweep.study(search)
    for values in ([0.8, 2.0], [0.7, 1.0], [0.7, 3.0]):
        add(study, search, values, OTHER)
    lines = said(sweep, study, search)
    assert lines[1:4] == [
        "  Pareto-optimal trials (val_acc, seconds):",
        "    trial 0: 80.0 %, 2 with p_drop=0.25 dropout=0.1",
        "    trial 1: 70.0 %, 1 with p_drop=0.25 dropout=0.1",
    ]


def test_a_difference_needs_three_trainings_of_both(sweep: Sweep) -> None:
    search = sweep.search(seeds=4)
    study = sweep.study(search)
    add(study, search, [0.6], START, **trainings(0.6))
    add(study, search, [0.7], OTHER, **trainings(0.7, 0.7, 0.7))
    add(study, search, [0.7], OTHER, **trainings(0.8, 0.9, 0.85))
    first, second, third = study.get_trials()
    assert difference(search, first, second) is None
    found = difference(search, second, third)
    assert found is not None
    assert (found.n, found.missing) == (3, "3 of 4")
    assert found.mean == pytest.approx(0.15)


def test_values_as_they_are_typed() -> None:
    assert (
        format_params({"model.alpha": 0.12345, "norm": "batch", "hidden": 16})
        == "model.alpha=0.123 norm=batch hidden=16"
    )


def test_a_board_in_lines_and_as_a_table(sweep: Sweep) -> None:
    search = sweep.search("hidden=int(interval(8, 64))", "p_drop=interval(0, 0.8)", "norm=none,batch", space={})
    study = sweep.study(search)
    add(study, search, [0.7], {"hidden": 8, "p_drop": 0.25, "norm": "none"})
    add(study, search, [0.8], {"hidden": 32, "p_drop": 0.5, "norm": "batch"})
    study.enqueue_trial({})
    task = sweep.task(search, study.ask())
    board = Progress(study, search, 4, 2)
    board.console = Console(file=io.StringIO(), width=200)
    with board:
        board.show(TaskResult(task, "finished", "val_acc 0.8", 60.0))
        board.console.print(board._table())
    assert isinstance(board.console.file, io.StringIO)
    out = board.console.file.getvalue()
    assert out.startswith("[2/4 trials, about 60 s left] trial 2 (): finished, val_acc 0.8 (60 s)\n")
    rows = [line.replace("│", " ").split() for line in out.splitlines() if "│" in line]
    assert rows == [["1", "80.0", "%", "32", "0.5", "batch"], ["0", "70.0", "%", "8", "0.25", "none"]]  # as the columns


def test_without_a_terminal_a_line_every_minute_says_what_is_running(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = sweep.search(seeds=1)
    study = sweep.study(search)
    seconds = [0.0]
    monkeypatch.setattr("depthlab.running.time.monotonic", lambda: seconds[0])
    board = Progress(study, search, 4, 1)
    out = io.StringIO()
    board.console = Console(file=out, width=200)
    task = sweep.task(search, study.ask())
    board.tick()
    assert out.getvalue() == ""
    assert list(board.starting([task])) == [task]
    seconds[0] = 61.0
    board.tick()
    assert out.getvalue() == "[4 trials] running: trial 0 for 61 s\n"
    board.show(TaskResult(task, "interrupted", "", 61.0))
    board.tick()
    assert out.getvalue().count("running:") == 1


def test_a_sweep_stopped_before_a_trial_ended(sweep: Sweep) -> None:
    search = sweep.search(seeds=1)
    assert said(sweep, sweep.study(search), search) == ["sweep small: no trial has ended"]

"""The short result."""

from depthlab.measures.diagnosis import Diagnosis
from depthlab.training.result import Result
from depthlab.training.summary import outcome_line, summary


def test_a_diverged_run_says_that_nothing_was_tested() -> None:
    curves, statistics = {"dirichlet_energy": [1.0, float("nan")]}, {"epochs_run": 3, "seconds_per_epoch": 0.01}
    text = summary(Result("a", "diverged", "sqlite:///x.db", "1", "id", {}, curves, statistics))
    assert "diverged after 3 epochs" in text
    assert "accuracy          none" in text


def test_a_finished_run_shows_percent_energy_and_place() -> None:
    scores = {"best_val_acc": 0.8, "test_acc": 0.815, "best_val_roc_auc": 0.85, "test_roc_auc": 0.9}
    statistics = {"epochs_run": 2, "seconds_per_epoch": 0.5, "best_epoch": 1}
    curves = {"dirichlet_energy": [1.0, 0.25, 0.125], "effective_rank": []}
    text = summary(Result("a", "finished", "sqlite:///x.db", "1", "id", scores, curves, statistics))
    for words in (
        "1.0 s (500.0 ms an epoch)",
        "val 80.0 %",
        "test 81.5 %",
        "val 85.0 %, test 90.0 %\n",
        "layer 2: 0.125",
    ):
        assert words in text
    assert "sqlite:///x.db, run id" in text


def test_the_verdict_comes_with_its_evidence() -> None:
    result = Result(
        "a", "diverged", "sqlite:///x.db", "1", "id", statistics={"epochs_run": 3, "seconds_per_epoch": 0.01}
    )
    result.diagnosis = Diagnosis("over-smoothed", "rank 20 to 1.2")
    assert "\n  verdict           over-smoothed: rank 20 to 1.2\n" in summary(result)


def test_the_outcome_in_a_few_words() -> None:
    result = Result("a", "finished", "sqlite:///x.db", "1", "id", {"test_acc": 0.8149})
    result.diagnosis = Diagnosis("healthy", "")
    assert outcome_line(result) == "test accuracy 81.5 %, healthy"
    result.metric, result.scores["test_r2"] = "r2", 0.9012
    assert outcome_line(result) == "test R2 0.9012, healthy"
    result.scores.clear()
    assert outcome_line(result) == "healthy"

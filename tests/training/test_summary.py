"""What a run prints at its end."""

from typing import Any

from depthlab.measures.diagnosis import Diagnosis
from depthlab.training.result import Result
from depthlab.training.summary import outcome_line, summary


def result(**changes: Any) -> Result:
    """A collapsed run with three layers."""
    content: dict[str, Any] = {
        "scores": {"best_val_acc": 0.5, "test_acc": 0.6486},
        "statistics": {"epochs_run": 40, "seconds_per_epoch": 0.5, "best_epoch": 22, "chance_test": 0.6486},
        "curves": {
            "dirichlet_energy": [0.06, 0.9, 170.0, 358.0],
            "rayleigh_quotient": [0.5, 0.05, 0.001, 0.0007],
            "effective_rank": [152.3, 3.2, 1.0, 1.0],
        },
        "diagnosis": Diagnosis("over-smoothed", "rank 3.2 to 1"),
    }
    return Result("a", "finished", "sqlite:///x.db", "1", "id", **(content | changes))


def test_a_diverged_run_says_that_nothing_was_tested() -> None:
    statistics = {"epochs_run": 3, "seconds_per_epoch": 0.01}
    diverged = Diagnosis("diverged", "the loss became infinite or NaN")
    curves = {"dirichlet_energy": [1.0, float("nan")]}
    text = summary(result(scores={}, statistics=statistics, curves=curves, diagnosis=diverged))
    assert "a: finished after 3 epochs" in text
    assert "  accuracy           none: the loss became infinite or NaN" in text
    assert "verdict            diverged: the loss or a state became infinite or NaN" in text
    assert "undefined" in text


def test_the_score_stands_beside_that_of_guessing() -> None:
    lines = summary(result()).splitlines()
    assert lines[0] == "a: finished after 40 epochs, 20.0 s (500.0 ms an epoch)"
    guess = "the best guess that ignores the input: 64.9 %"
    assert lines[1] == f"  accuracy           test 64.9 %, validation 50.0 %; {guess}"
    assert " ".join(lines[2].split()) == "weights of epoch 22, the best on validation data; the test set was read once"


def test_every_metric_has_a_row_and_only_the_reported_one_a_guess() -> None:
    scores = {"best_val_acc": 0.8, "test_acc": 0.815, "best_val_roc_auc": 0.85, "test_roc_auc": 0.9}
    text = summary(result(scores=scores))
    assert "  ROC-AUC            test 90.0 %, validation 85.0 %\n" in text
    assert text.count("ignores the input") == 1


def test_weights_of_the_first_epochs_are_called_nearly_untrained() -> None:
    statistics = {"epochs_run": 101, "seconds_per_epoch": 0.1, "best_epoch": 0}
    assert "weights of epoch 0, the best on validation data: nearly untrained weights" in summary(
        result(statistics=statistics)
    )
    assert "untrained" not in summary(result())


def test_the_verdict_is_said_in_words_and_with_its_evidence() -> None:
    text = summary(result())
    assert "\n  verdict            over-smoothed: the network has collapsed: neighbours have nearly equal" in text
    assert "\n  evidence           rank 3.2 to 1\n" in text


def test_the_quotient_leads_and_every_measure_has_a_gloss() -> None:
    lines = summary(result()).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("  by layer"))
    assert lines[at].split() == ["by", "layer", "0", "1", "2", "3"]
    assert lines[at + 1].split() == ["Rayleigh", "quotient", "0.5", "0.05", "0.001", "0.0007"]
    assert "(0 = equal)" in lines[at + 2]
    order = [next(k for k, line in enumerate(lines) if name in line) for name in ("effective rank", "Dirichlet")]
    assert at < order[0] < order[1]
    assert "growing weights enlarge it, even in a collapsed network" in " ".join(" ".join(lines).split())
    assert max(map(len, lines[: at + 8])) <= 118


def test_where_it_is_recorded_and_drawn() -> None:
    text = summary(result(locations=["csv logs/a"]))
    assert "  recorded           csv logs/a" in text
    assert "sqlite:///x.db, run id" in text
    assert "/runs/id/model-metrics?workflowType=machine_learning" in text
    assert "/runs/id/artifacts/layers.html" in text


def test_the_outcome_in_a_few_words() -> None:
    one = Result("a", "finished", "sqlite:///x.db", "1", "id", {"test_acc": 0.8149})
    one.diagnosis = Diagnosis("healthy", "")
    assert outcome_line(one) == "test accuracy 81.5 %, healthy"
    one.metric, one.scores["test_r2"] = "r2", 0.9012
    assert outcome_line(one) == "test R2 0.9012, healthy"
    one.scores.clear()
    assert outcome_line(one) == "healthy"

"""Every metric beside a definition of its own: counted by hand, or scikit-learn's."""

import math

import pytest
import torch
from sklearn import metrics as sklearn
from torch import Tensor

from depthlab.tasks.metrics import METRICS, higher_is_better, shown_score

OUTPUT = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
CLASSES = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))
MARGIN = OUTPUT[:, 1] - OUTPUT[:, 0]
LABELS = (CLASSES > 0).long()
NUMBERS = torch.randn(40, generator=torch.Generator().manual_seed(2))


def value(name: str, output: Tensor, target: Tensor) -> float:
    return float(METRICS[name].function(output, target))


def test_accuracy_counts_the_largest_output() -> None:
    output = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5], [0.0, 0.1, 0.2]])
    assert value("acc", output, torch.tensor([0, 1, 2, 2])) == 0.75


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("target", [CLASSES, CLASSES.clamp(max=1)])  # a class may have no target
def test_metrics_of_classes_are_those_of_scikit_learn(target: Tensor) -> None:
    predicted = OUTPUT.argmax(1)
    assert value("balanced_acc", OUTPUT, target) == pytest.approx(sklearn.balanced_accuracy_score(target, predicted))
    assert value("macro_f1", OUTPUT, target) == pytest.approx(sklearn.f1_score(target, predicted, average="macro"))


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_rankings_are_those_of_scikit_learn_however_large_the_outputs(size: float) -> None:
    output = size * OUTPUT[:, :2]
    assert value("roc_auc", output, LABELS) == pytest.approx(sklearn.roc_auc_score(LABELS, MARGIN))
    assert value("average_precision", output, LABELS) == pytest.approx(sklearn.average_precision_score(LABELS, MARGIN))


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples")
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("label", [0, 1])
def test_a_ranking_of_one_class_is_not_a_number(name: str, label: int) -> None:
    assert math.isnan(value(name, OUTPUT[:, :2], torch.full((40,), label)))


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_metrics_of_numbers_are_those_of_scikit_learn(scale: float) -> None:
    output, target = scale * (NUMBERS + 0.3 * OUTPUT[:, 0])[:, None], scale * NUMBERS
    assert value("mae", output, target) == pytest.approx(sklearn.mean_absolute_error(target, output), rel=1e-4)
    assert value("r2", output, target) == pytest.approx(sklearn.r2_score(target, output), rel=1e-4)
    assert math.isnan(value("r2", output, torch.ones(40)))


@pytest.mark.parametrize(("name", "target"), [
    ("acc", CLASSES), ("balanced_acc", CLASSES), ("macro_f1", CLASSES), ("roc_auc", LABELS),
    ("average_precision", LABELS), ("mae", NUMBERS), ("r2", NUMBERS),
])  # fmt: skip
def test_chance_is_what_the_best_constant_guess_scores(name: str, target: Tensor) -> None:
    if name in ("mae", "r2"):
        constants = [torch.full((40, 1), float(number)) for number in (*target, target.mean())]
    else:
        classes = int(target.max()) + 1
        constants = [torch.eye(classes)[torch.full((40,), label)] for label in range(classes)]
    scores = [value(name, output, target) for output in constants]
    best = max(scores) if METRICS[name].higher_is_better else min(scores)
    assert METRICS[name].chance(target) == pytest.approx(best, abs=1e-5)


def test_a_loss_and_an_error_are_better_when_lower() -> None:
    assert [higher_is_better(name) for name in ("val_loss", "train_mae", "val_acc", "val_r2", "test_roc_auc")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_shares_are_shown_in_percent() -> None:
    assert METRICS["acc"].shown(0.8149) == "81.5 %"
    assert METRICS["mae"].shown(0.81494) == "0.8149"


def test_scores_in_percent_and_losses_in_four_digits() -> None:
    shown = [shown_score(name, 0.12345) for name in ("val_acc", "test_roc_auc", "val_loss", "val_r2", "seconds")]
    assert shown == ["12.3 %", "12.3 %", "0.1235", "0.1235", "0.1235"]

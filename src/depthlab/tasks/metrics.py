"""The registry of metrics. Imports nothing heavy, because settings are checked against these names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """Compares predictions with targets.

    Attributes:
        label: name in tables and figures.
        targets: targets that it is defined for: `classes`, `two classes` or `numbers`.
        function: (outputs (n, channels), targets (n,)) -> scalar.
        chance: targets -> score of the best guess that ignores the input.
        higher_is_better: if true, 1 is perfect, else 0.
        percent: whether it is shown in %.
        needs_variety: whether it is undefined if all targets are equal.
    """

    label: str
    targets: str
    function: Callable[[Tensor, Tensor], Tensor]
    chance: Callable[[Tensor], float]
    higher_is_better: bool = True
    percent: bool = True
    needs_variety: bool = False

    @property
    def perfect(self) -> float:
        return 1.0 if self.higher_is_better else 0.0

    @property
    def factor(self) -> float:
        """The factor by which a value is multiplied for display."""
        return 100.0 if self.percent else 1.0

    @property
    def digits(self) -> str:
        """Format of a displayed value, after multiplication by `factor`."""
        return ".1f" if self.percent else ".4g"

    @property
    def unit(self) -> str:
        """The unit after a displayed value."""
        return " %" if self.percent else ""

    @property
    def quantity(self) -> str:
        """`accuracy in %`."""
        return f"{self.label} in %" if self.percent else self.label

    def shown(self, value: float) -> str:
        """`81.5 %`, or four digits for a value that is not shown in %."""
        return f"{self.factor * value:{self.digits}}{self.unit}"


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of nodes whose largest output belongs to their class."""
    return (output.argmax(-1) == target).float().mean()


def balanced_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The mean recall of the classes that have a target."""
    from torchmetrics.functional.classification import multiclass_recall

    recall = multiclass_recall(output, target, output.shape[-1], average="none", validate_args=False)
    return recall[target.unique()].mean()


def macro_f1(output: Tensor, target: Tensor) -> Tensor:
    """The mean F1 of the classes that have a target or a prediction."""
    from torchmetrics.functional.classification import multiclass_f1_score

    return multiclass_f1_score(output, target, output.shape[-1], average="macro", validate_args=False)


def roc_auc(output: Tensor, target: Tensor) -> Tensor:
    """The probability that a node of class 1 is ranked above one of class 0; NaN if a class has no target."""
    import torch
    from torchmetrics.functional.classification import binary_auroc

    area = binary_auroc(_ranking(output), target)
    return torch.where(target.min() < target.max(), area, torch.nan)  # torchmetrics gives 0


def average_precision(output: Tensor, target: Tensor) -> Tensor:
    """The area under precision against recall of class 1, as a sum of steps; NaN if a class has no target."""
    import torch
    from torchmetrics.functional.classification import binary_average_precision

    area = binary_average_precision(_ranking(output), target)
    return torch.where(target.min() < target.max(), area, torch.nan)


def _ranking(output: Tensor) -> Tensor:
    """Difference of the outputs for class 1 and class 0, scaled to [0, 1]: torchmetrics applies a sigmoid to values
    outside, which saturates."""
    margin = (output[:, 1] - output[:, 0]).double()
    return (margin - margin.min()) / (margin.max() - margin.min()).clamp_min(1e-300)


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """The mean distance between prediction and target, in units of the target."""
    from torchmetrics.functional.regression import mean_absolute_error

    return mean_absolute_error(output.squeeze(-1), target)


def r2(output: Tensor, target: Tensor) -> Tensor:
    """1 - (sum of squared errors) / (sum of squared deviations of the targets from their mean); NaN for equal targets.

    Computed on standardised targets, since torchmetrics treats sums of squares below 1e-4 as zero.
    """
    from torchmetrics.functional.regression import r2_score

    if target.min() == target.max():
        return target.new_full((), float("nan"))
    target, output = target.double(), output.squeeze(-1).double()
    mean, scale = target.mean(), target.std()
    return r2_score((output - mean) / scale, (target - mean) / scale).to(output.dtype)


def largest_share(target: Tensor) -> float:
    """Accuracy of predicting the most frequent class everywhere."""
    return float(target.bincount().max() / len(target))


def _f1_of_the_largest(target: Tensor) -> float:
    """Precision of the most frequent class is its share p and recall 1: F1 = 2 p / (1 + p), and 0 for the others."""
    share = largest_share(target)
    return 2 * share / (1 + share) / len(target.unique())


def _deviation_from_median(target: Tensor) -> float:
    return float((target - target.median()).abs().mean())


METRICS = {
    "acc": Metric("accuracy", "classes", accuracy, largest_share),
    "balanced_acc": Metric("balanced accuracy", "classes", balanced_accuracy, lambda target: 1 / len(target.unique())),
    "macro_f1": Metric("macro-F1", "classes", macro_f1, _f1_of_the_largest),
    "roc_auc": Metric("ROC-AUC", "two classes", roc_auc, lambda target: 0.5, needs_variety=True),
    "average_precision": Metric(
        "average precision", "two classes", average_precision,
        lambda target: float((target == 1).double().mean()), needs_variety=True,
    ),
    "mae": Metric(
        "MAE", "numbers", mean_absolute_error, _deviation_from_median, higher_is_better=False, percent=False,
    ),
    "r2": Metric("R2", "numbers", r2, lambda target: 0.0, percent=False, needs_variety=True),
}  # fmt: skip


def recorded(part: str, name: str) -> str:
    """Recorded name of a score of the selected epoch: `test_acc`, `best_val_acc`, `best_train_acc`."""
    return f"test_{name}" if part == "test" else f"best_{part}_{name}"


def metric_of(name: str) -> Metric | None:
    """The metric of a recorded name such as `val_acc`; None for a loss or another quantity."""
    return METRICS.get(name.partition("_")[2])


def shown_score(name: str, value: float) -> str:
    """`80.0 %` for a score shown in percent, such as `val_acc`; four significant digits for any other quantity."""
    metric = metric_of(name)
    return metric.shown(value) if metric else f"{value:.4g}"


def higher_is_better(name: str) -> bool:
    """Whether higher values of a recorded name such as `val_loss` or `test_acc` are better."""
    metric = metric_of(name)
    return metric is not None and metric.higher_is_better

"""The tasks: targets, loss and recorded metrics.

To add a loss or a kind of target, add a class here; to add a metric, add an entry in `depthlab.tasks.metrics`. The
yaml of a dataset chooses them with `task` and `metric`. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from depthlab.config.errors import UserError
from depthlab.config.limits import shown
from depthlab.tasks.metrics import METRICS, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from depthlab.config.option_types import DatasetSettings
    from depthlab.config.schema import Settings
    from depthlab.data.dataset import Dataset
    from depthlab.data.graph_collection import GraphCollection
    from depthlab.data.graph_set import GraphSet
    from depthlab.graph.graph import Graph
    from depthlab.graph.large import LargeGraph

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Task:
    """One kind of target with its loss; a subclass defines `loss`, `count` and the attributes of the class.

    Attributes:
        metric: the metric that is reported and compared with chance.
        metrics: all recorded metrics, including `metric`.
        outputs: channels of the network's output.
        targets: class attribute: the allowed values of `Metric.targets`, the most specific first.
        usual: class attribute: the metrics that are recorded by default.
    """

    metric: str
    metrics: tuple[str, ...]
    outputs: int

    targets: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[tuple[str, ...]] = ()

    def loss(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        """The training loss.

        Args:
            output: (n, channels).
            target: (n,).
            reduction: as for torch's losses: `mean`, `sum`, or `none` for shape (n,).
        """
        raise NotImplementedError("a task defines its own loss")  # pragma: no cover

    @staticmethod
    def count(target: Tensor) -> int:
        """Number of output channels for these targets."""
        raise NotImplementedError("a task defines how many outputs it needs")  # pragma: no cover

    def read(self, output: Tensor, graph: Graph | LargeGraph, part: str) -> tuple[Tensor, Tensor]:
        """Outputs (k, channels) and targets (k,) of the nodes of a part. For many graphs: of their root nodes,
        or of the graphs, with pooled node outputs."""
        members = getattr(graph, part)
        return graph.read_out(output)[members], graph.y[members]

    def training_loss(self, output: Tensor, graph: Graph) -> Tensor:
        """Mean loss over the training nodes; for a rank's share of a batch, the weighted sum, 0 if it is empty."""
        output, target = self.read(output, graph, "train")
        if graph.weight is None:
            return self.loss(output, target)
        return self.loss(output, target, "sum") * graph.weight

    def measure(self, part: str, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Recorded metrics of a part, with names such as `val_acc`."""
        return {f"{part}_{name}": METRICS[name].function(output, target) for name in self.metrics}

    def score(self, part: str, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss and metrics of a part, with names such as `val_loss`."""
        return {f"{part}_loss": self.loss(output, target)} | self.measure(part, output, target)

    @property
    def reported(self) -> Metric:
        return METRICS[self.metric]

    def chance(self, target: Tensor) -> float:
        """The value of the reported metric for the best guess that ignores the input."""
        return self.reported.chance(target)

    @classmethod
    def possible(cls) -> list[str]:
        """Names of the metrics that these targets allow."""
        return [name for name, metric in METRICS.items() if metric.targets in cls.targets]


class Classification(Task):
    """Predict one of C classes per node: C outputs, cross-entropy."""

    targets: ClassVar[tuple[str, ...]] = ("classes", "two classes")
    usual: ClassVar[tuple[str, ...]] = ("acc",)

    def loss(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(output, target, reduction=reduction)

    @staticmethod
    def count(target: Tensor) -> int:
        return int(target.max()) + 1


class Regression(Task):
    """Predict one number per node: one output, squared error."""

    targets: ClassVar[tuple[str, ...]] = ("numbers",)
    usual: ClassVar[tuple[str, ...]] = ("mae", "r2")

    def loss(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        from torch.nn.functional import mse_loss

        return mse_loss(output.squeeze(-1), target, reduction=reduction)

    @staticmethod
    def count(target: Tensor) -> int:
        return 1


TASKS: dict[str, type[Task]] = {"classification": Classification, "regression": Regression}


def default_monitor(task: str | None, metric: str | None) -> str:
    """Default of `monitor`: the validation loss, or the reported metric if it is not recorded by default."""
    known = TASKS.get(str(task))
    return f"val_{metric}" if known and metric in known.possible() and metric not in known.usual else "val_loss"


def recorded_metrics(dataset: DatasetSettings, metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the recorded metrics: `metrics` or the task's defaults, and the dataset's metric."""
    usual = TASKS[dataset.task].usual if metrics is None else metrics
    return tuple(dict.fromkeys([*usual, dataset.metric]))


def check_task(dataset: DatasetSettings, metrics: Sequence[str] | None, monitor: str) -> None:
    """Check names before any data is read.

    Args:
        dataset: settings of a dataset, with `task` and `metric`.

    Raises:
        UserError: a name is unknown, a metric does not fit the task, or `monitor` is not recorded.
    """
    if dataset.task not in TASKS:
        raise UserError(f"dataset.task must be one of {', '.join(TASKS)}, got {shown(dataset.task)}")
    task, metric = TASKS[dataset.task], dataset.metric
    possible = f"{', '.join(task.possible())} for a {dataset.task}"
    if metric not in task.possible():
        raise UserError(f"dataset.metric must be one of {possible}, got {shown(metric)}")
    for name in metrics or ():
        if name not in task.possible():
            raise UserError(f"metrics must be a list of {possible}, got {shown(name)}")
    recorded = recorded_metrics(dataset, metrics)
    allowed = ["val_loss", *(f"{part}_{name}" for part in ("val", "train") for name in recorded)]
    if monitor not in allowed:
        name = monitor.partition("_")[2]
        hint = f": add metrics=[{','.join([*recorded, name])}]" if name in task.possible() else ""
        raise UserError(f"monitor must be one of {', '.join(allowed)}, got {shown(monitor)}{hint}")


def make_task(settings: Settings, dataset: Dataset | GraphSet | GraphCollection) -> Task:
    """The task of a dataset, with the metrics of the settings.

    Args:
        settings: as for `depthlab.training.run.run`.
        dataset: its targets `y` are int64 classes, -1 for none, or floating-point numbers.

    Raises:
        UserError: the targets do not fit the task, a metric needs two classes or is undefined on a part of the split,
            or the split does not exist.
    """
    kind, metric, name = TASKS[settings.dataset.task], settings.dataset.metric, settings.dataset.label
    if (numbers := dataset.y.is_floating_point()) != ("numbers" in kind.targets):
        targets, fitting = ("numbers", "regression") if numbers else ("classes", "classification")
        wrong = f"dataset.task={settings.dataset.task} does not fit {name}, whose targets are {targets}"
        raise UserError(f"{wrong}: use dataset.task={fitting} dataset.metric={TASKS[fitting].usual[0]}")
    task = kind(metric, recorded_metrics(settings.dataset, settings.metrics), kind.count(dataset.y))
    for recorded in task.metrics:
        if METRICS[recorded].targets == "two classes" and task.outputs != 2:
            raise UserError(f"metric={recorded} needs two classes, {name} has {task.outputs}")
    if any(METRICS[recorded].needs_variety for recorded in task.metrics):
        split, seed = settings.split, settings.split_seed
        words = f"split=random split_seed={seed}" if split == "random" else f"split={split}"
        _check_parts(task, [dataset.targets(part) for part in dataset.parts(split, seed)], words)
    return task


def _check_parts(task: Task, targets: Sequence[Tensor], split: str) -> None:
    """Raise UserError for the first metric that is undefined on a part of the split.

    Args:
        targets: of each part.
        split: the override that chooses the split.
    """
    for name in task.metrics:
        for part, target in zip(PARTS, targets, strict=True):
            if METRICS[name].needs_variety and len(values := target.unique()) == 1:
                instead = f"dataset.metric={task.usual[0]}" if name == task.metric else f"leave {name} out of metrics"
                raise UserError(
                    f"{METRICS[name].label} is undefined on the {part} part of {split}, where every target is"
                    f" {values.item():g}: use a split with different targets in every part, or {instead}"
                )

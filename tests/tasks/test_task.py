"""Loss and read-out of the tasks, and what each of them refuses."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.data.dataset import Dataset
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.tasks.task import Classification, Regression, check_task, default_monitor, make_task, recorded_metrics
from tests.settings import dataset_settings

EDGES = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
Y = torch.tensor([0, 1, 2, 1, 0, 2])
OUTPUT = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = Classification("acc", ("acc",), 3)
NODES = 60


def graph(train: list[int], weight: float | None = None, y: Tensor = Y) -> Graph:
    nodes = torch.tensor(train, dtype=torch.long)
    made = Graph(torch.zeros(6, 2), gcn_adjacency(EDGES, 6), y, nodes, nodes, nodes)
    return replace(made, weight=weight)


def test_the_loss_of_classes_is_the_mean_cross_entropy_of_the_training_nodes() -> None:
    train = [0, 2, 5]
    expected = sum(OUTPUT[node].logsumexp(0) - OUTPUT[node, Y[node]] for node in train) / 3
    assert float(CLASSES.training_loss(OUTPUT, graph(train))) == pytest.approx(float(expected))


def test_the_loss_of_numbers_is_the_mean_squared_error_of_the_training_nodes() -> None:
    task, y = Regression("mae", ("mae", "r2"), 1), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    output = torch.tensor([0.0, 9.0, 3.0, 9.0, 9.0, 9.0])[:, None]
    assert float(task.training_loss(output, graph([0, 2, 5], y=y))) == pytest.approx((1 + 0 + 9) / 3)
    scores = task.score("val", *task.read(output, graph([0, 2, 5], y=y), "val"))
    assert list(scores) == ["val_loss", "val_mae", "val_r2"]
    assert float(scores["val_mae"]) == pytest.approx(4 / 3)


@pytest.mark.parametrize("shares", [[[0, 2], [3, 5]], [[0, 2, 3, 5], []], [[3], [0, 2, 5]]])
def test_the_mean_over_processes_is_the_loss_of_the_whole_batch(shares: list[list[int]]) -> None:
    whole = CLASSES.training_loss(OUTPUT, graph([0, 2, 3, 5]))
    parts = [CLASSES.training_loss(OUTPUT, graph(share, weight=len(shares) / 4)) for share in shares]
    assert float(sum(parts) / len(shares)) == pytest.approx(float(whole))


@pytest.mark.parametrize(
    ("task", "metric", "monitor"),
    [
        ("classification", "acc", "val_loss"),
        ("classification", "roc_auc", "val_roc_auc"),
        ("regression", "r2", "val_loss"),
        ("classification", "mae", "val_loss"),  # refused elsewhere
        (None, None, "val_loss"),
    ],
)
def test_what_selects_by_default(task: str | None, metric: str | None, monitor: str) -> None:
    assert default_monitor(task, metric) == monitor


@pytest.mark.parametrize(
    ("dataset", "metrics", "monitor", "sentence"),
    [
        ({"task": "ranking"}, None, "val_loss", "dataset.task must be one of classification, regression, got ranking"),
        ({"metric": "accuracy"}, None, "val_loss", "dataset.metric must be one of acc, .* for a classification, got"),
        ({"metric": "mae"}, None, "val_loss", "dataset.metric must be one of acc, .*, got mae"),
        ({"task": "regression"}, None, "val_loss", "dataset.metric must be one of mae, r2 for a regression, got acc"),
        ({}, ["acc", "f1"], "val_loss", "metrics must be a list of acc, .* for a classification, got f1"),
        ({}, ["r2"], "val_loss", "metrics must be a list of acc, .* for a classification, got r2"),
        ({}, None, "loss", "^monitor must be one of val_loss, val_acc, train_acc, got loss$"),
        ({}, None, "val_macro_f1", r"train_acc, got val_macro_f1: add metrics=\[acc,macro_f1\]$"),
    ],
)
def test_names_that_cannot_be(dataset: dict[str, str], metrics: list[str] | None, monitor: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_task(dataset_settings(**dataset), metrics, monitor)


def test_what_is_recorded_may_select() -> None:
    check_task(dataset_settings(task="classification", metric="roc_auc"), ["balanced_acc"], "train_balanced_acc")
    assert recorded_metrics(dataset_settings(task="classification", metric="roc_auc"), None) == ("acc", "roc_auc")
    assert recorded_metrics(dataset_settings(task="regression", metric="r2"), []) == ("r2",)


def alternating(y: Tensor | None = None) -> Dataset:
    """Two classes in turn; split 0 validates on even nodes and tests on odd ones, split 1 has both in every part."""
    node = torch.arange(NODES)
    train, rest = node < 20, node >= 20
    val = torch.stack([rest & (node % 2 == 0), (node >= 20) & (node < 40)])
    test = torch.stack([rest & (node % 2 == 1), node >= 40])
    edges = torch.stack([node, (node + 1) % NODES])
    edge_index = torch.cat([edges, edges.flip(0)], 1)
    return Dataset(torch.eye(NODES), edge_index, node % 2 if y is None else y, train.expand(2, -1), val, test)


def settings(split: str, metric: str = "roc_auc", task: str = "classification", **more: Any) -> Settings:
    dataset = dataset_settings(task=task, metric=metric)
    return replace(compose_settings([]), split=split, split_seed=3, dataset=dataset, **more)


def test_a_metric_that_is_undefined_on_a_part_is_refused_with_its_name_and_split() -> None:
    dataset = alternating()
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=0, where every"):
        make_task(settings("0"), dataset)
    swapped = replace(dataset, train=dataset.val, val=dataset.train)
    with pytest.raises(UserError, match=r"training part of split=0, .*, or dataset.metric=acc$"):
        make_task(settings("0"), swapped)
    with pytest.raises(UserError, match=r"test part of split=0, .* target is 1: .*, or leave roc_auc out of metrics$"):
        make_task(settings("0", "acc", metrics=["roc_auc"]), replace(dataset, val=dataset.train))
    assert make_task(settings("1"), dataset) == Classification("roc_auc", ("acc", "roc_auc"), 2)
    assert make_task(settings("0", "acc"), dataset) == Classification("acc", ("acc",), 2)


def test_a_drawn_split_is_named_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = torch.arange(0, 20, 2), torch.arange(20, 30), torch.arange(30, 40)
    monkeypatch.setattr("depthlab.data.dataset.random_split", lambda *_: parts)
    with pytest.raises(UserError, match="training part of split=random split_seed=3, where every target is 0"):
        make_task(settings("random"), alternating())


def test_a_metric_of_two_classes_is_refused_for_three() -> None:
    with pytest.raises(UserError, match=r"^metric=roc_auc needs two classes, own has 3$"):
        make_task(settings("0"), alternating(torch.arange(NODES) % 3))


def test_targets_of_another_kind_are_refused() -> None:
    numbers = alternating(torch.linspace(0, 1, NODES))
    with pytest.raises(UserError, match=r"does not fit own, whose targets are numbers: use dataset.task=regression "):
        make_task(settings("0", "acc"), numbers)
    with pytest.raises(UserError, match=r"whose targets are classes: use dataset.task=classification "):
        make_task(settings("0", "mae", "regression"), alternating())
    assert make_task(settings("0", "r2", "regression"), numbers) == Regression("r2", ("mae", "r2"), 1)

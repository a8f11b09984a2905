"""ROC-AUC where a part of a split has one class: refused before anything is trained."""

from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.metric import check_metric

NODES = 60


def alternating() -> Dataset:
    """Two classes in turn; split 0 validates on even nodes and tests on odd ones, split 1 has both in every part."""
    node = torch.arange(NODES)
    train, rest = node < 20, node >= 20
    val = torch.stack([rest & (node % 2 == 0), (node >= 20) & (node < 40)])
    test = torch.stack([rest & (node % 2 == 1), node >= 40])
    edges = torch.stack([node, (node + 1) % NODES])
    edge_index = torch.cat([edges, edges.flip(0)], 1)
    return Dataset(torch.eye(NODES), edge_index, node % 2, train.expand(2, -1), val, test)


def settings(split: str, metric: str = "roc_auc") -> dict[str, Any]:
    return {"split": split, "split_seed": 3, "dataset": {"metric": metric}}


def test_a_part_with_one_class_is_refused_with_its_name_and_split() -> None:
    with pytest.raises(UserError, match=r"undefined on the validation part of split=0, which has only class 0"):
        check_metric(alternating(), settings("0"))
    dataset = alternating()
    swapped = Dataset(dataset.x, dataset.edge_index, dataset.y, dataset.val, dataset.train, dataset.test)
    with pytest.raises(UserError, match="training part of split=0, which has only class 0"):
        check_metric(swapped, settings("0"))
    last = Dataset(dataset.x, dataset.edge_index, dataset.y, dataset.train, dataset.train, dataset.test)
    with pytest.raises(UserError, match="test part of split=0, which has only class 1"):
        check_metric(last, settings("0"))


def test_both_classes_in_every_part_and_accuracy_are_accepted() -> None:
    check_metric(alternating(), settings("1"))
    check_metric(alternating(), settings("0", "accuracy"))


def test_a_drawn_split_is_named_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = torch.arange(0, 20, 2), torch.arange(20, 30), torch.arange(30, 40)
    monkeypatch.setattr("depthlab.data.dataset.random_split", lambda *_: parts)
    with pytest.raises(UserError, match="training part of split=random split_seed=3, which has only class 0"):
        check_metric(alternating(), settings("random"))

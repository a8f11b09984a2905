"""The names of classes."""

from dataclasses import replace

import torch

from depthlab.data.class_names import CORA, class_names, numbered
from depthlab.data.dataset import Dataset


def graph(classes: int) -> Dataset:
    """A graph whose nodes have these many classes."""
    y = torch.arange(2 * classes) % classes
    none = torch.zeros(0, len(y), dtype=torch.bool)
    return Dataset(torch.eye(len(y)), torch.tensor([[0, 1], [1, 0]]), y, none, none, none)


def test_classes_have_names() -> None:
    assert class_names("cora", graph(7)) == list(CORA)
    assert class_names("cora", graph(3)) == [], "another graph of that name"
    assert class_names("digits", graph(10))[9] == "digit 9"
    assert class_names("own", replace(graph(2), class_names=["a", "b"])) == ["a", "b"]
    assert class_names("digits", replace(graph(2), y=torch.rand(4))) == [], "a regression"


def test_classes_without_names_are_numbered() -> None:
    assert numbered(class_names("own", graph(3)), 3) == ["class 0", "class 1", "class 2"]
    assert numbered(["red"], 2) == ["red", "class 1"]

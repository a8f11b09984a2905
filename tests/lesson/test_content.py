"""What is read back for the page."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.lesson.content import CORA, class_names, read_lesson
from depthlab.tracking.search import Records
from tests.lesson.conftest import network


def graph(classes: int) -> Dataset:
    """A graph whose nodes have these many classes."""
    y = torch.arange(2 * classes) % classes
    none = torch.zeros(0, len(y), dtype=torch.bool)
    return Dataset(torch.eye(len(y)), torch.tensor([[0, 1], [1, 0]]), y, none, none, none)


def test_classes_have_names() -> None:
    assert class_names("cora", graph(7)) == list(CORA)
    assert class_names("cora", graph(3)) == ["class 0", "class 1", "class 2"], "another graph of that name"
    assert class_names("digits", graph(10))[9] == "digit 9"
    assert class_names("own", replace(graph(2), class_names=["a", "b"])) == ["a", "b"]


def test_a_network_says_its_score_and_the_ends_of_its_measures() -> None:
    one = network("GCN 8", 8, 0.5, "under-fitted", 0.1)
    assert one.score_text == "50.0 %" and one.mark == "under-fitted"
    assert one.inner("effective_rank") == pytest.approx((10 * 0.1 ** (1 / 8), 10 * 0.1 ** (7 / 8)))
    assert one.inner("sensitivity") is None
    assert replace(one, score=float("nan")).score_text == "not tested"


def test_a_study_without_a_record_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no record of a study named lesson-cora"):
        read_lesson(Records(f"sqlite:///{tmp_path / 'mlflow.db'}", "lesson"), "lesson-cora", [], None)  # type: ignore[arg-type]

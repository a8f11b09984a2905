"""What is read back for the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from depthlab.config.errors import UserError
from depthlab.lesson.content import read_lesson
from depthlab.tracking.search import Records
from tests.lesson.conftest import network


def test_a_network_says_its_score_and_the_ends_of_its_measures() -> None:
    one = network("GCN 8", 8, 0.5, "under-fitted", 0.1)
    assert one.score_text == "50.0 %" and one.mark == "under-fitted"
    assert one.inner("effective_rank") == pytest.approx((10 * 0.1 ** (1 / 8), 10 * 0.1 ** (7 / 8)))
    assert one.inner("sensitivity") is None
    assert replace(one, score=float("nan")).score_text == "not tested"


def test_a_study_without_a_record_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no record of a study named lesson-cora"):
        read_lesson(Records(f"sqlite:///{tmp_path / 'mlflow.db'}", "lesson"), "lesson-cora", [], None)  # type: ignore[arg-type]

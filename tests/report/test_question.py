"""What a study asks."""

import pandas as pd

from depthlab.report.question import depths_of, listed, question
from tests.report.conftest import Frame


def test_a_study_with_a_yaml_asks_what_its_comment_says(frame: Frame) -> None:
    asked = question("cora", frame("GCN", 2, [0.5]))
    assert asked.startswith("Accuracy and energy against depth on Cora: do DropEdge")
    assert asked.endswith("?")
    assert "`" not in question("quick", frame("GCN", 2, [0.5]))


def test_another_study_asks_for_its_methods_and_depths(frame: Frame) -> None:
    runs = pd.concat([frame("GCN", 2, [0.5]), frame("MLP", 8, [0.5])])
    for name in ("custom", "cora-custom", "mine"):
        assert question(name, runs) == "What happens to GCN and MLP on cora from 2 to 8 layers?"


def test_lists_and_depths() -> None:
    assert listed(["a"]) == "a"
    assert listed(list("abcdef")) == "a, b, c and 3 more"
    assert depths_of([1]) == "with 1 layer"
    assert depths_of([2, 4, 8]) == "from 2 to 8 layers"

"""What came out of a study, in sentences."""

import pandas as pd

from depthlab.report.answers import answers, guessing
from tests.report.conftest import Frame


def test_spans_of_depths_with_one_verdict(frame: Frame) -> None:
    collapsed = {"verdict": "over-smoothed", "model": "gcn"}
    runs = pd.concat(
        [
            frame("GCN", 2, [0.8, 0.82]),
            frame("GCN", 4, [0.7, 0.72]),
            frame("GCN", 8, [0.2, 0.22], **collapsed),
            frame("GCNII", 2, [0.75, 0.77]),
            frame("GCNII", 8, [0.9, 0.92]),
        ]
    )
    assert answers(runs) == [
        "Highest mean test accuracy: 91.0 %, GCNII with 8 layers.",
        "GCN: healthy from 2 to 4 layers (81.0 to 71.0 %), over-smoothed with 8 layers (21.0 %).",
        "GCNII: healthy from 2 to 8 layers (76.0 to 91.0 %).",
    ]


def test_an_error_is_best_when_lowest(frame: Frame) -> None:
    runs = pd.concat(
        [frame("GCN", depth, [None], metric="mae", test_mae=value) for depth, value in ((2, 0.5), (4, 0.3))]
    )
    assert answers(runs)[0] == "Lowest mean test MAE: 0.3, GCN with 4 layers."


def test_methods_without_a_result(frame: Frame) -> None:
    missing = {"outcome": "missing", "verdict": None, "evidence": None, "run_id": None}
    assert answers(frame("GCN", 2, [None], **missing)) == ["GCN: without a result with 2 layers."]


def test_the_score_of_guessing(frame: Frame) -> None:
    assert guessing(frame("GCN", 2, [0.5])) == ""
    both = guessing(frame("GCN", 2, [0.5], chance=0.143, chance_test=0.319))
    assert (
        both
        == " The best guess that ignores the input scores 14.3 % on the training nodes and 31.9 % on the test nodes."
    )

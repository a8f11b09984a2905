"""What a network predicts, as tensors and as a table."""

import pytest
import torch

from depthlab.api.prediction import Prediction

LOGITS = torch.tensor([[0.0, 1.0], [2.0, 0.0]])


def test_classes_with_names() -> None:
    found = Prediction(LOGITS, node_names=["a", "b"], class_names=["no", "yes"])
    assert found.classes.tolist() == [1, 0] and found.probabilities.sum(1).tolist() == pytest.approx([1, 1])
    frame = found.to_frame()
    assert list(frame.columns) == ["node", "class", "p_no", "p_yes"]
    assert frame["node"].tolist() == ["a", "b"] and frame["class"].tolist() == ["yes", "no"]
    assert repr(found) == repr(frame) and "<table" in found._repr_html_()
    with pytest.raises(ValueError, match="a classification has no values"):
        _ = found.values


def test_a_regression_on_graphs() -> None:
    found = Prediction(torch.tensor([[0.5], [2.0]]), is_classification=False, unit="graph")
    assert found.to_frame().to_dict("list") == {"graph": [0, 1], "value": [0.5, 2.0]}
    with pytest.raises(ValueError, match="a regression has no probabilities"):
        _ = found.classes

"""Labels of any type become classes 0, 1, ..."""

import numpy as np
import pytest

from depthlab.config.errors import UserError
from depthlab.data.labels import encode_labels


def test_names_are_sorted_and_kept() -> None:
    classes, names = encode_labels(np.array(["dog", "cat", "", "dog"]), "label")
    assert classes.tolist() == [1, 0, -1, 1] and names == ["cat", "dog"]


@pytest.mark.parametrize("labels", [["a", None, "b"], ["a", float("nan"), "b"]])
def test_a_missing_label_has_no_class(labels: list[object]) -> None:
    assert encode_labels(np.array(labels, dtype=object), "label")[0].tolist() == [0, -1, 1]


def test_integers_are_kept() -> None:
    for labels in (np.array([0, 2, 1]), np.array([0, 2, 1], dtype=object)):
        assert encode_labels(labels, "label")[0].tolist() == [0, 2, 1] and encode_labels(labels, "label")[1] is None
    assert encode_labels(np.array([True, False]), "label")[0].tolist() == [1, 0]


def test_mixed_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"^label must hold whole numbers or names of classes, got float, str$"):
        encode_labels(np.array(["a", 1.5], dtype=object), "label")

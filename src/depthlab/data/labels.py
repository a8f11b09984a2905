"""Encode labels as classes 0, 1, ..., with their names."""

import numpy as np

from depthlab.config.errors import UserError


def encode_labels(labels: np.ndarray, name: str) -> tuple[np.ndarray, list[str] | None]:
    """Encode labels as classes 0, 1, ..., and return the class names.

    Args:
        labels: (n,); names are sorted and numbered; None or an empty string means unlabelled. Integers are kept as
            classes and have no names.
        name: for errors.

    Raises:
        UserError: names and other types are mixed.
    """
    if labels.dtype.kind in "US":
        labels = labels.astype(object)
    if labels.dtype.kind == "b":
        return labels.astype(np.int64), None
    if labels.dtype.kind != "O" or labels.ndim != 1:
        return labels, None
    missing = np.array([label is None or label == "" or label != label for label in labels], dtype=bool)
    kinds = {type(label) for label in labels[~missing]}
    if kinds and all(issubclass(kind, int | np.integer) for kind in kinds):
        return np.array([-1 if none else int(label) for label, none in zip(labels, missing, strict=True)]), None
    if not all(issubclass(kind, str | bytes) for kind in kinds):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UserError(f"{name} must hold whole numbers or names of classes, got {found}")
    names, classes = np.unique(labels[~missing].astype(str), return_inverse=True)
    numbers = np.full(len(labels), -1, dtype=np.int64)
    numbers[~missing] = classes
    return numbers, [str(label) for label in names]

"""Names of the classes of a dataset."""

from collections.abc import Sequence
from typing import Any

# Planetoid's files number the classes of Cora; their sizes (351, 217, 418, 818, 426, 298, 180) identify them.
CORA = (
    "theory", "reinforcement learning", "genetic algorithms", "neural networks", "probabilistic methods",
    "case-based reasoning", "rule learning",
)  # fmt: skip


def class_names(name: str, dataset: Any) -> list[str]:
    """The names of the classes of a dataset of this name; empty if they have none, or for a regression."""
    if dataset.y.is_floating_point():
        return []
    if names := getattr(dataset, "class_names", None):
        return list(names)
    count = int(dataset.y.max()) + 1
    if name == "cora" and count == len(CORA):
        return list(CORA)
    return [f"digit {k}" for k in range(count)] if name == "digits" else []


def numbered(names: Sequence[str], count: int) -> list[str]:
    """The names of `count` classes; `class k` for class k without one."""
    return [*names, *(f"class {k}" for k in range(len(names), count))]

"""The rules for a user's own graph, the same for every format, with one error sentence for each rule."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.files import unreadable
from depthlab.tasks.task import TASKS

ROWS = 1 << 16  # rows of features to check at once, since those of a large graph stay on disk
OBJECTS = ("Object arrays cannot be loaded", "Python objects in dtype")  # parts of NumPy's messages
NUMBERS, INTEGERS = "fiub", "iu"  # kinds of NumPy types
REGRESSION = "for a regression use dataset.task=regression dataset.metric=mae, in Python task='regression'"


def checked_dataset(
    arrays: Mapping[str, np.ndarray],
    ends: int,
    task: str = "classification",
    weight: tuple[str, np.ndarray] | None = None,
) -> Dataset:
    """Make a dataset from three or six arrays, after checking them.

    Args:
        arrays: name in the file format (used in errors) -> array, in this order:
            features: numbers (n, f), f >= 1, finite as float32;
            edges: integers, 0 <= node < n, one or more, an undirected edge in one direction or both;
            targets: for classification two or more classes, integers (n,), 0, 1, ... without gaps, -1 for a node
              without a class; for regression finite numbers (n,), NaN for a node without a target;
            training, validation, test: bool (n,) or, for s splits, (s, n), or the node indices (k,) of one split.
              The parts of a split are disjoint and not empty, and each of their nodes has a target. Without them
              all splits are drawn.
        ends: the axis of length 2 of the edges: 0 for shape (2, m), 1 for (m, 2).
        task: a key of `depthlab.tasks.task.TASKS`.
        weight: name and weights of the edges, finite numbers >= 0 (m,).

    Returns:
        The dataset, with the edges as given; float32 features are not copied.

    Raises:
        UserError: an array breaks a rule.
    """
    (x_name, x), (edges_name, edges), (y_name, y), *parts = arrays.items()
    _check_features(x_name, x)
    nodes = len(x)
    check_edges(edges_name, edges, ends, nodes, x_name)
    if weight:
        _check_weight(*weight, edges.shape[1 - ends], edges_name)
    numbers = "numbers" in TASKS[task].targets
    (_check_numbers if numbers else _check_classes)(y_name, y, nodes, x_name)
    masks = {name: _mask(name, array, nodes, x_name) for name, array in parts}
    if numbers:
        _check_split(masks, np.isnan(y), f"target (NaN in {y_name})")
    else:
        _check_split(masks, y == -1, f"class (-1 in {y_name})")
    features = torch.from_numpy(x if x.dtype == np.float32 else x.astype(np.float32))
    none = np.empty((0, nodes), bool)
    train, val, test = (torch.from_numpy(mask) for mask in masks.values() or (none, none, none))
    targets = torch.from_numpy(y.astype(np.float32)) if numbers else _long(y)
    weights = torch.from_numpy(weight[1].astype(np.float32)) if weight else None
    return Dataset(features, _long(edges if ends == 0 else edges.T), targets, train, val, test, weights)


def check_edges(name: str, edges: np.ndarray, ends: int, nodes: int, x_name: str) -> None:
    """Raise UserError unless edges are integers in [0, nodes) that join two nodes; `ends` is their axis of length 2."""
    wanted = f"integers of shape {('(2, edges)', '(edges, 2)')[ends]}"
    if edges.ndim != 2 or edges.shape[ends] != 2:
        hint = ": transpose it" if edges.ndim == 2 and edges.shape[1 - ends] == 2 else ""
        raise UserError(f"{name} must hold {wanted}, got {_kind(edges)}{hint}")
    if edges.dtype.kind not in INTEGERS:
        raise UserError(f"{name} must hold {wanted}, got {_kind(edges)}: convert it with .astype(np.int64)")
    if not (edges[0] != edges[1] if ends == 0 else edges[:, 0] != edges[:, 1]).any():
        raise UserError(f"{name} holds no edge between two nodes: a network needs edges to propagate over")
    _check_range(name, edges, nodes, x_name)


def unreadable_array(name: str, error: Exception, damage: str) -> Exception:
    """The error to raise about an array that NumPy does not read.

    Args:
        name: of the file or array.
        damage: the message for an incomplete array, with what to do.
    """
    if isinstance(error, ValueError) and any(words in str(error) for words in OBJECTS):
        return UserError(
            f"{name} holds Python objects (dtype=object), which NumPy creates from None or rows of unequal length:"
            " save numbers instead, array.astype(np.float32) for features and array.astype(np.int64) for the others"
        )
    return unreadable(Path(name), error, damage)


def _check_features(name: str, x: np.ndarray) -> None:
    if x.ndim != 2 or x.dtype.kind not in NUMBERS:
        raise UserError(f"{name} must hold numbers of shape (nodes, features), got {_kind(x)}")
    if 0 in x.shape:
        raise UserError(
            f"{name} must hold one or more nodes with one or more features each, got shape {x.shape}:"
            " for nodes without features save np.ones((nodes, 1))"
        )
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        with np.errstate(over="ignore"):
            finite = np.isfinite(rows.astype(np.float32, copy=False))
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise UserError(
                f"{name} must hold numbers that are finite as float32, got {rows[row, column]} in row {start + row},"
                f" column {column}: replace NaN, infinity and all beyond 3e38"
            )


def _check_weight(name: str, weight: np.ndarray, edges: int, edges_name: str) -> None:
    if weight.shape != (edges,) or weight.dtype.kind not in NUMBERS:
        raise UserError(
            f"{name} must hold numbers of shape ({edges},), one for each edge of {edges_name}, got {_kind(weight)}"
        )
    with np.errstate(over="ignore"):
        wrong = np.flatnonzero(~np.isfinite(weight.astype(np.float32)) | (weight < 0))
    if len(wrong):
        raise UserError(
            f"{name} must hold finite numbers of at least 0, got {weight[wrong[0]]} for edge {wrong[0]}: a weight"
            " says how much of a message arrives"
        )


def _check_classes(name: str, y: np.ndarray, nodes: int, x_name: str) -> None:
    if y.shape != (nodes,) or y.dtype.kind not in INTEGERS:
        hints = dict.fromkeys("US", ": np.unique(labels, return_inverse=True)[1] numbers classes")
        hints["f"] = f": {REGRESSION}"
        hint = hints.get(y.dtype.kind, "")
        raise UserError(
            f"{name} must hold integers of shape ({nodes},), one for each row of {x_name}, got {_kind(y)}{hint}"
        )
    if y.min() < -1:
        raise UserError(f"{name} must hold classes 0, 1, ..., or -1 for a node without a class, got {y.min()}")
    classes = np.unique(y[y >= 0])
    gaps = np.flatnonzero(classes != np.arange(len(classes)))
    if len(gaps):
        raise UserError(
            f"{name} has nodes of class {classes[-1]} but none of class {gaps[0]}: number classes from 0 without gaps"
        )
    if len(classes) < 2:
        raise UserError(f"{name} must hold two or more classes, got {len(classes)}: there is nothing to classify")


def _check_numbers(name: str, y: np.ndarray, nodes: int, x_name: str) -> None:
    if y.shape != (nodes,) or y.dtype.kind not in NUMBERS:
        raise UserError(f"{name} must hold numbers of shape ({nodes},), one for each row of {x_name}, got {_kind(y)}")
    with np.errstate(over="ignore"):
        if np.isinf(y.astype(np.float32)).any():
            raise UserError(f"{name} must hold numbers that are finite as float32, or NaN for a node without a target")


def _mask(name: str, array: np.ndarray, nodes: int, x_name: str) -> np.ndarray:
    """A part of the splits, in any of the three forms, as masks (s, n)."""
    if not array.size:
        raise UserError(f"{name} is empty: every part of a split needs a node")
    if array.dtype == bool and array.ndim in (1, 2) and array.shape[-1] == nodes:
        return np.atleast_2d(np.asarray(array))
    if array.dtype.kind not in INTEGERS or array.ndim != 1:
        hint = ": transpose it" if array.dtype == bool and array.ndim == 2 and len(array) == nodes else ""
        raise UserError(
            f"{name} must hold node numbers of shape (k,), or a mask of type bool and shape ({nodes},) or"
            f" (splits, {nodes}), got {_kind(array)}{hint}"
        )
    _check_range(name, array, nodes, x_name)
    mask = np.zeros((1, nodes), bool)
    mask[0, array] = True
    if mask.sum() < array.size:
        raise UserError(f"{name} holds a node number twice: list each once, or convert a mask with .astype(bool)")
    return mask


def _check_split(masks: dict[str, np.ndarray], without: np.ndarray, what: str) -> None:
    """Check the parts of a split; no node may be in the mask `without`. `what` names the missing target in errors."""
    if not masks:
        return
    splits = {name: len(mask) for name, mask in masks.items()}
    if len(set(splits.values())) > 1:
        counts = ", ".join(f"{count} in {name}" for name, count in splits.items())
        raise UserError(f"{', '.join(masks)} must hold the same number of splits, got {counts}")
    for name, mask in masks.items():
        empty = np.flatnonzero(~mask.any(1))
        if len(empty):
            raise UserError(f"{name} holds no node in split {empty[0]}: every part of a split needs one")
        if (mask & without).any():
            node = (mask & without).any(0).argmax()
            raise UserError(f"{name} has nodes without a {what}, the first is node {node}: leave them out")
    train, val, test = masks
    for first, second in ((train, val), (train, test), (val, test)):
        if (both := masks[first] & masks[second]).any():
            node = both.any(0).argmax()
            raise UserError(
                f"{first} and {second} share nodes, the first is node {node}: a node may be in one part of a split only"
            )


def _check_range(name: str, numbers: np.ndarray, nodes: int, x_name: str) -> None:
    if numbers.size and (numbers.min() < 0 or numbers.max() >= nodes):
        raise UserError(
            f"{name} must hold node numbers from 0 to {nodes - 1}, got {numbers.min()} to {numbers.max()}:"
            f" count from 0, as the rows of {x_name}"
        )


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _long(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))

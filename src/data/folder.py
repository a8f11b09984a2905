"""A large graph of one's own: a folder of NumPy arrays.

    x.npy                       numbers (n, f): the features of n nodes; float32 is not copied in memory
    edge_index.npy              integers (2, m), 0 <= node < n: an undirected edge in one direction or both
    y.npy                       integers (n,): classes 0, 1, ..., each of some node, or -1 for none
    train.npy val.npy test.npy  the split: node numbers (k,), or bool masks (n,) or, for s splits, (s, n)

Self-loops and repeated edges are ignored.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.dataset import Dataset
from src.data.mapped import open_array
from src.errors import UserError
from src.files import unreadable

PARTS = ("train", "val", "test")
ROWS = 1 << 16  # of features that are looked at together


def read_folder(files: list[Path]) -> Dataset:
    """The graph that lies in a folder, its features memory-mapped.

    Args:
        files: the six files of the format above.

    Raises:
        UserError: a file cannot be read, or what it holds is not in the format.
    """
    arrays = {path.stem: _opened(path) for path in files}
    x, edge_index, y = (arrays[name] for name in ("x", "edge_index", "y"))
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise UserError(f"x.npy must hold numbers of shape (nodes, features), got {_kind(x)}")
    nodes = len(x)
    for start in range(0, nodes, ROWS):
        with np.errstate(over="ignore"):
            finite = np.isfinite(x[start : start + ROWS].astype(np.float32, copy=False)).all()
        if not finite:
            raise UserError("x.npy must hold finite numbers, as float32 has them: replace NaN, infinity and above 3e38")
    if edge_index.ndim != 2 or len(edge_index) != 2 or edge_index.dtype.kind not in "iu":
        raise UserError(f"edge_index.npy must hold integers of shape (2, edges), got {_kind(edge_index)}")
    _in_range("edge_index.npy", edge_index, nodes)
    if y.shape != (nodes,) or y.dtype.kind not in "iu":
        raise UserError(f"y.npy must hold integers of shape ({nodes},), one for each row of x.npy, got {_kind(y)}")
    if y.min() < -1 or y.max() < 1:
        raise UserError(f"y.npy must hold two or more classes 0, 1, ..., or -1 for none, got {y.min()} to {y.max()}")
    classes = np.unique(y[y >= 0])
    gaps = np.flatnonzero(classes != np.arange(len(classes)))
    if len(gaps):
        raise UserError(f"y.npy has no node of class {gaps[0]}, but of {classes[-1]}: number the classes without a gap")
    masks = {name: _mask(name, arrays[name], nodes) for name in PARTS}
    if len({len(mask) for mask in masks.values()}) > 1:
        raise UserError("train.npy, val.npy and test.npy must hold the same number of splits")
    for name, mask in masks.items():
        empty = np.flatnonzero(~mask.any(1))
        if len(empty):
            raise UserError(f"{name}.npy holds no node in split {empty[0]}: every part of a split needs one")
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if (masks[one] & masks[other]).any():
            raise UserError(f"{one}.npy and {other}.npy share nodes: a node may be in one part of a split alone")
    for name, mask in masks.items():
        if (mask & (y == -1)).any():
            raise UserError(f"{name}.npy has nodes without a class (-1 in y.npy): leave them out")
    features = torch.from_numpy(x if x.dtype == np.float32 else x.astype(np.float32))
    train, val, test = (torch.from_numpy(masks[name]) for name in PARTS)
    return Dataset(features, _long(edge_index), _long(y), train, val, test)


def _opened(path: Path) -> np.ndarray:
    try:
        return open_array(path)
    except Exception as error:  # an archive, no header, a torn one, objects, fewer bytes than the header says, ...
        raise unreadable(path, error, "is not a whole NumPy array: write it again with numpy.save") from None


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _in_range(name: str, numbers: np.ndarray, nodes: int) -> None:
    if numbers.size and (numbers.min() < 0 or numbers.max() >= nodes):
        raise UserError(
            f"{name} must hold node numbers from 0 to {nodes - 1}, got {numbers.min()} to {numbers.max()}:"
            " count from 0, as the rows of x.npy"
        )


def _mask(name: str, array: np.ndarray, nodes: int) -> np.ndarray:
    """Any of the three forms as masks (s, n)."""
    if not array.size:
        raise UserError(f"{name}.npy is empty: every part of a split needs a node")
    if array.dtype == bool and array.ndim in (1, 2) and array.shape[-1] == nodes:
        return np.atleast_2d(np.asarray(array))
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise UserError(
            f"{name}.npy must hold node numbers, or a bool mask of shape ({nodes},) or (splits, {nodes}),"
            f" got {_kind(array)}"
        )
    _in_range(f"{name}.npy", array, nodes)
    mask = np.zeros((1, nodes), bool)
    mask[0, array] = True
    if mask.sum() < array.size:
        raise UserError(f"{name}.npy holds a node twice: node numbers once each, or a mask of type bool")
    return mask


def _long(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.int64))

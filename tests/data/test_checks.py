"""The rules for the user's own graph: both formats accept and refuse the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.checks import checked_dataset
from depthlab.data.dataset import Dataset
from depthlab.data.folder import read_folder
from depthlab.data.heterophilous import ARRAYS, read_npz

Arrays = dict[str, Any]
Read = Callable[[Path, Arrays], Dataset]
NODES = 30
FILES = ("x", "edge_index", "y", "train", "val", "test")
EVEN = np.arange(NODES) % 2 == 0


def by_npz(folder: Path, arrays: Arrays) -> Dataset:
    named = dict(zip(ARRAYS, (arrays[name] for name in FILES), strict=True))
    named["edges"] = named["edges"].T
    np.savez(folder / "own.npz", **named)
    return read_npz([folder / "own.npz"])


def by_folder(folder: Path, arrays: Arrays) -> Dataset:
    for name in FILES:
        np.save(folder / f"{name}.npy", arrays[name])
    return read_folder([folder / f"{name}.npy" for name in FILES])


BOTH = pytest.mark.parametrize("read", [by_npz, by_folder])


@pytest.fixture
def mine() -> Arrays:
    """A ring of three classes with two splits; half of the nodes train, a quarter each validate and test."""
    nodes = np.arange(NODES)
    quarter = nodes % 4 == 1
    train = np.stack([EVEN, EVEN])
    val, test = np.stack([quarter, ~EVEN & ~quarter]), np.stack([~EVEN & ~quarter, quarter])
    x = np.random.default_rng(0).standard_normal((NODES, 4)).astype(np.float32)
    ring = np.stack([nodes, np.roll(nodes, -1)])
    return {"x": x, "edge_index": ring, "y": nodes % 3, "train": train, "val": val, "test": test}


def numbers(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask[0])


TAKEN = [
    {},
    {"x": np.ones((NODES, 1), np.float64)},
    {"x": EVEN[:, None]},
    {"x": np.arange(NODES, dtype=np.uint8)[:, None]},
    {"edge_index": np.array([[0], [29]], np.uint16)},
    {"y": np.arange(NODES) % 2},
    {"y": np.arange(NODES, dtype=np.uint64) % 3},
    {"y": np.where(np.arange(NODES) == 9, -1, np.arange(NODES) % 3), "val": ~EVEN & (np.arange(NODES) > 10),
     "test": np.array([1]), "train": EVEN},
    {"train": np.arange(0, 20, 2), "val": np.array([1], np.uint8), "test": ~EVEN & (np.arange(NODES) > 1)},
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("change", TAKEN)
def test_what_is_taken(tmp_path: Path, mine: Arrays, read: Read, change: Arrays) -> None:
    arrays = mine | change
    found = read(tmp_path, arrays)
    assert found.x.dtype == torch.float32 and np.array_equal(found.x, arrays["x"].astype(np.float32))
    assert found.edge_index.dtype == found.y.dtype == torch.int64
    assert np.array_equal(found.edge_index, arrays["edge_index"]) and np.array_equal(found.y, arrays["y"])
    for name in ("train", "val", "test"):
        mask, given = getattr(found, name), np.asarray(arrays[name])
        assert mask.dtype == torch.bool and mask.ndim == 2
        expected = np.atleast_2d(given) if given.dtype == bool else np.isin(np.arange(NODES), given)[None]
        assert np.array_equal(mask, expected)


REFUSED = [
    ("x", np.ones(NODES), "x must hold numbers of shape (nodes, features), got float64 of shape (30,)"),
    ("x", np.full((NODES, 2), "a"), "x must hold numbers of shape (nodes, features), got <U1 of shape (30, 2)"),
    ("x", np.ones((NODES, 2), complex), "x must hold numbers of shape (nodes, features), got complex128 of shape"),
    ("x", np.ones((NODES, 0)), "x must hold one or more nodes with one or more features each, got shape (30, 0): "),
    ("x", np.ones((0, 3)), "x must hold one or more nodes with one or more features each, got shape (0, 3): "),
    ("x", np.full((NODES, 2), np.nan), "x must hold numbers that are finite as float32, got nan in row 0, column 0: "),
    ("x", np.full((NODES, 2), 1e39), "x must hold numbers that are finite as float32, got 1e+39 in row 0, column 0: "),
    ("x", np.array([[1.0], [None]], dtype=object), "x holds Python objects (dtype=object), which NumPy creates"),
    ("y", np.array([{}] * NODES), "y holds Python objects (dtype=object), which NumPy creates from None or rows of"),
    ("edge_index", np.array([[0], [30]]), "edges must hold node numbers from 0 to 29, got 0 to 30: count from 0, as"),
    ("edge_index", np.array([[-1], [3]]), "edges must hold node numbers from 0 to 29, got -1 to 3: count from 0, as"),
    ("edge_index", np.zeros((2, 5), bool), "got bool of shape "),
    ("edge_index", np.zeros((2, 5)), ": convert it with .astype(np.int64)"),
    ("edge_index", np.zeros((2, 0)), ": convert it with .astype(np.int64)"),
    ("edge_index", np.zeros((2, 0), np.int32), "edges holds no edge between two nodes: a network needs edges to"),
    ("edge_index", np.ones((2, 3), np.int32), "edges holds no edge between two nodes: a network needs edges to"),
    ("edge_index", np.zeros((3, 5), int), "edges must hold integers of shape "),
    ("y", np.array(["cat"] * 30), "got <U3 of shape (30,): np.unique(labels, return_inverse=True)[1] numbers classes"),
    ("train", np.ones((30, 2), bool), "got bool of shape (30, 2): transpose it"),
    ("y", np.zeros(29, int), "y must hold integers of shape (30,), one for each row of x, got int64 of shape (29,)"),
    ("y", np.zeros(30), "y must hold integers of shape (30,), one for each row of x, got float64 of shape (30,)"),
    ("y", np.zeros((30, 1), int), "y must hold integers of shape (30,), one for each row of x, got int64 of shape"),
    ("y", EVEN, "y must hold integers of shape (30,), one for each row of x, got bool of shape (30,)"),
    ("y", np.zeros(30, int), "y must hold two or more classes, got 1: there is nothing to classify"),
    ("y", np.full(30, -1), "y must hold two or more classes, got 0: there is nothing to classify"),
    ("y", np.arange(30) % 3 - 2, "y must hold classes 0, 1, ..., or -1 for a node without a class, got -2"),
    ("y", np.arange(30) % 2 + 1, "y has nodes of class 2 but none of class 0: number classes from 0 without gaps"),
    ("y", np.arange(30) % 3 * 2, "y has nodes of class 4 but none of class 1: number classes from 0 without gaps"),
    ("y", np.arange(30) % 3 * 10**17, "y has nodes of class 200000000000000000 but none of class 1: number classes"),
    ("y", np.arange(30) % 4 - 1, "train has nodes without a class (-1 in y), the first is node 0: leave them out"),
    ("train", np.ones(29, bool), "train must hold node numbers of shape (k,), or a mask of type bool and shape (30,)"),
    ("val", np.ones((2, 30), np.int8), " or (splits, 30), got int8 of shape (2, 30)"),
    ("val", np.full((2, 30), 7), " or (splits, 30), got int64 of shape (2, 30)"),
    ("val", np.zeros(30), " or (splits, 30), got float64 of shape (30,)"),
    ("val", np.array([0, 1] * 15, np.uint8), "val holds a node number twice: list each once, or convert a mask with"),
    ("test", np.array([30]), "test must hold node numbers from 0 to 29, got 30 to 30: count from 0, as the rows of x"),
    ("val", np.array([], np.int64), "val is empty: every part of a split needs a node"),
    ("test", np.zeros((0, 30), bool), "test is empty: every part of a split needs a node"),
    ("val", np.stack([~EVEN, EVEN & ~EVEN]), "val holds no node in split 1: every part of a split needs one"),
    ("val", np.stack([EVEN, EVEN]), "train and val share nodes, the first is node 0: a node may be in one part of a"),
    ("test", ~EVEN, "train, val, test must hold the same number of splits, got 2 in train, 2 in val, 1 in test"),
]  # fmt: skip


def own_name(read: Read, name: str) -> str:
    """What a format calls an array of the rules above."""
    name = {"edges": "edge_index"}.get(name, name)
    return dict(zip(FILES, ARRAYS, strict=True))[name] if read is by_npz else f"{name}.npy"


@BOTH
@pytest.mark.parametrize(("name", "array", "sentence"), REFUSED)
def test_what_is_refused(tmp_path: Path, mine: Arrays, read: Read, name: str, array: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, mine | {name: array})
    found = str(error.value)
    assert "\n" not in found
    for short in ("edges", *FILES):
        found = found.replace(own_name(read, short), {"edge_index": "edges"}.get(short, short))
    assert sentence in found


@pytest.mark.parametrize(
    ("read", "said"),
    [(by_npz, "edges must hold integers of shape (edges, 2), got float64 of shape (0, 2): convert"),
     (by_folder, "edge_index.npy must hold integers of shape (2, edges), got float64 of shape (2, 0): convert")],
)  # fmt: skip
def test_an_empty_float_edge_array_gets_a_hint(tmp_path: Path, mine: Arrays, read: Read, said: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, mine | {"edge_index": np.zeros((2, 0))})
    assert str(error.value).startswith(said)


def test_features_in_the_right_type_are_not_copied(tmp_path: Path, mine: Arrays) -> None:
    found = checked_dataset({name: mine[name] for name in FILES}, ends=0)
    assert found.x.data_ptr() == torch.from_numpy(mine["x"]).data_ptr()

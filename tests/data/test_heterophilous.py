"""The reader of npz files, also of a person's own."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.data.heterophilous import ARRAYS, read_npz
from src.errors import UserError

Arrays = dict[str, np.ndarray[Any, Any]]


def write(folder: Path, arrays: Arrays) -> Path:
    content: dict[str, Any] = arrays
    np.savez(folder / "own.npz", **content)
    return folder / "own.npz"


def edited(array: np.ndarray[Any, Any], place: Any, value: Any) -> np.ndarray[Any, Any]:
    array = array.copy()
    array[place] = value
    return array


def refused(path: Path, words: str) -> None:
    with pytest.raises(UserError) as error:
        read_npz([path])
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


def test_good_file(tmp_path: Path, arrays: Arrays) -> None:
    dataset = read_npz([write(tmp_path, arrays)])
    assert np.array_equal(dataset.x.numpy(), arrays["node_features"])
    assert np.array_equal(dataset.y.numpy(), arrays["node_labels"])
    assert np.array_equal(dataset.edge_index.numpy(), arrays["edges"].T)
    for mask, name in ((dataset.train, "train_masks"), (dataset.val, "val_masks"), (dataset.test, "test_masks")):
        assert mask.dtype == torch.bool and mask.shape == (10, 30)
        assert np.array_equal(mask.numpy(), arrays[name])


def test_other_number_types(tmp_path: Path, arrays: Arrays) -> None:
    types = {"node_features": np.uint8, "node_labels": np.int32, "edges": np.uint16, "train_masks": np.int8}
    other = {name: array.astype(types.get(name, array.dtype)) for name, array in arrays.items()}
    dataset, same = read_npz([write(tmp_path, other)]), read_npz([write(tmp_path, arrays)])
    for name in ("x", "edge_index", "y", "train", "val", "test"):
        value = getattr(dataset, name)
        assert value.dtype == getattr(same, name).dtype and torch.equal(value, getattr(same, name)), name


def test_more_arrays_do_no_harm(tmp_path: Path, arrays: Arrays) -> None:
    assert read_npz([write(tmp_path, arrays | {"comment": np.array("mine")})]).num_nodes == 30


@pytest.mark.parametrize("name", ARRAYS)
def test_array_missing(tmp_path: Path, arrays: Arrays, name: str) -> None:
    del arrays[name]
    refused(write(tmp_path, arrays), f" lacks {name}: the format needs {', '.join(ARRAYS)}")


VIOLATIONS = [
    ("node_features", lambda a: a[:, 0], "node_features must have shape (nodes, features)"),
    ("node_features", lambda a: a[:-1], "node_features must have shape (nodes, features)"),
    ("node_features", lambda a: edited(a, (3, 3), np.nan), "node_features must be finite"),
    ("node_features", lambda a: edited(a, (3, 3), np.inf), "node_features must be finite"),
    ("node_features", lambda a: a.astype(str), "node_features must be numbers"),
    ("node_features", lambda a: a.astype(np.float64) * 1e300, "node_features must be finite in single precision"),
    ("node_labels", lambda a: a[:, None], "node_labels must have shape (nodes,)"),
    ("node_labels", lambda a: a * 10**17, "node_labels must be whole numbers from 0, fewer classes than nodes"),
    ("node_labels", lambda a: a.astype(float), "node_labels must be whole numbers from 0"),
    ("node_labels", lambda a: edited(a, 3, -1), "node_labels must be whole numbers from 0"),
    ("node_labels", lambda a: a.astype(str), "node_labels must be whole numbers from 0"),
    ("edges", lambda a: a.T, "edges must have shape (edges, 2)"),
    ("edges", lambda a: a.ravel(), "edges must have shape (edges, 2)"),
    ("edges", lambda a: edited(a, (3, 1), 30), "edges must name nodes from 0 to 29"),
    ("edges", lambda a: edited(a, (3, 1), -1), "edges must name nodes from 0 to 29"),
    ("edges", lambda a: a.astype(float), "edges must name nodes from 0 to 29"),
    ("train_masks", lambda a: a[0], "train_masks must have shape (splits, nodes)"),
    ("val_masks", lambda a: a.T, "val_masks must have shape (splits, nodes)"),
    ("test_masks", lambda a: a[:, :-1], "test_masks must have shape (splits, nodes)"),
    ("train_masks", lambda a: edited(a, 4, False), "train_masks must hold a node in every split"),
    ("val_masks", lambda a: edited(a, 4, False), "val_masks must hold a node in every split"),
    ("test_masks", lambda a: edited(a, 4, False), "test_masks must hold a node in every split"),
    ("val_masks", lambda a: a[:-1], "the masks must have the same number of splits"),
    ("train_masks", lambda a: edited(a, (9, slice(None)), True), "train, val and test masks must not overlap"),
    ("val_masks", lambda a: edited(a, (9, slice(None)), True), "train, val and test masks must not overlap"),
]


@pytest.mark.parametrize(("name", "change", "rule"), VIOLATIONS)
def test_rule_violated(tmp_path: Path, arrays: Arrays, name: str, change: Any, rule: str) -> None:
    refused(write(tmp_path, arrays | {name: change(arrays[name])}), f": {rule}")


def test_objects_are_not_unpickled(tmp_path: Path, arrays: Arrays) -> None:
    marker = tmp_path / "executed"

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    path = write(tmp_path, arrays | {"edges": np.array([[Code(), Code()]], dtype=object)})
    refused(path, "is not a readable npz file (ValueError)")
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as archive:
        archive["edges"]
    assert marker.exists(), "the file was harmless, so the test has shown nothing"


@pytest.mark.parametrize("content", [b"", b"no zip at all", None])
def test_not_an_npz_file(tmp_path: Path, arrays: Arrays, content: bytes | None) -> None:
    path = write(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    refused(path, "is not a readable npz file")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'own.npz'} is missing: give the path of an npz file")):
        read_npz([tmp_path / "own.npz"])


def test_graph_without_edges(tmp_path: Path, arrays: Arrays) -> None:
    assert read_npz([write(tmp_path, arrays | {"edges": np.zeros((0, 2), np.int64)})]).edge_index.shape == (2, 0)

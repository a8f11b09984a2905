"""The reader of npz files, also of a person's own."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.heterophilous import ARRAYS, read_npz
from tests.unpickling import Marker

Arrays = dict[str, np.ndarray[Any, Any]]


def write(folder: Path, arrays: Arrays) -> Path:
    content: dict[str, Any] = arrays
    np.savez(folder / "own.npz", **content)
    return folder / "own.npz"


def refused(path: Path, words: str) -> None:
    with pytest.raises(UserError) as error:
        read_npz([path])
    assert str(error.value).startswith(words)


def test_good_file(tmp_path: Path, arrays: Arrays) -> None:
    dataset = read_npz([write(tmp_path, arrays)])
    assert np.array_equal(dataset.x.numpy(), arrays["node_features"])
    assert np.array_equal(dataset.y.numpy(), arrays["node_labels"])
    assert np.array_equal(dataset.edge_index.numpy(), arrays["edges"].T)
    for mask, name in ((dataset.train, "train_masks"), (dataset.val, "val_masks"), (dataset.test, "test_masks")):
        assert mask.dtype == torch.bool and mask.shape == (10, 30)
        assert np.array_equal(mask.numpy(), arrays[name])


def test_other_number_types(tmp_path: Path, arrays: Arrays) -> None:
    types = {"node_features": np.uint8, "node_labels": np.int32, "edges": np.uint16, "val_masks": bool}
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
    refused(write(tmp_path, arrays), f"own.npz lacks {name}: the format needs {', '.join(ARRAYS)}")


def test_objects_are_not_unpickled(tmp_path: Path, arrays: Arrays) -> None:
    marker = tmp_path / "executed"
    path = write(tmp_path, arrays | {"edges": np.array([[Marker(marker), Marker(marker)]], dtype=object)})
    refused(path, "edges holds Python objects (dtype=object), which NumPy creates from None")
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as archive:
        archive["edges"]
    assert marker.exists(), "the file was harmless, so the test has shown nothing"


@pytest.mark.parametrize("content", [b"", b"no zip at all", None])
def test_not_an_npz_file(tmp_path: Path, arrays: Arrays, content: bytes | None) -> None:
    path = write(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    refused(path, "own.npz is not a readable npz file: write it again with numpy.savez")


def test_one_array_and_several_files_are_no_npz_file(tmp_path: Path, arrays: Arrays) -> None:
    np.save(tmp_path / "one.npy", arrays["edges"])
    refused(tmp_path / "one.npy", "one.npy is not a readable npz file: write it again with numpy.savez")
    with pytest.raises(UserError, match=r"^it must be one npz file, got 2 files$"):
        read_npz([write(tmp_path, arrays), tmp_path / "one.npy"])


def test_what_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = write(tmp_path, arrays)
    monkeypatch.setattr(np, "load", denied)
    refused(path, "own.npz cannot be read (Permission denied) but may be intact: fix this")


def test_graph_without_edges(tmp_path: Path, arrays: Arrays) -> None:
    path = write(tmp_path, arrays | {"edges": np.zeros((0, 2), np.int64)})
    refused(path, "edges holds no edge between two nodes: a network needs edges to propagate over")

"""A dataset that stays on disk: a folder with one .npy file for each array, opened memory-mapped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from depthlab.config.closure import digest
from depthlab.config.errors import ChecksumError
from depthlab.data.dataset import FORMAT, Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.graph_set import GraphSet
from depthlab.files import atomic_write, cached, sha256, unreadable, write_json

CONTENTS = "contents.json"  # fingerprint, format, and the SHA-256 of every array's file
OTHERS = ("directed", "class_names", "notes")  # everything except arrays
ROWS = 1 << 16  # rows of an array to write at once


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped array; nothing in it is unpickled, and changes are not written to disk.

    Raises:
        Exception: the file has no complete array; usually a ValueError.
    """
    return np.lib.format.open_memmap(path, mode="c")  # torch warns about read-only tensors


def save_mapped(dataset: Dataset | GraphSet | GraphCollection, folder: Path, fingerprint: str) -> None:
    """Write the folder atomically; a folder with other data is replaced. Node names are not saved.

    Only one process at a time may do this: hold `lock_of(folder)`, as `cached_mapped` does.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    assert isinstance(dataset, Dataset), "only one graph stays on disk"
    arrays = {name: value.numpy() for name, value in dataset.tensors.items()}
    others = {name: getattr(dataset, name) for name in OTHERS}
    with atomic_write(folder) as part:
        part.mkdir()
        for name, array in arrays.items():
            _save(part / f"{name}.npy", array)
        hashes = {name: sha256(part / f"{name}.npy") for name in arrays}
        contents = {"fingerprint": fingerprint, "format": FORMAT, "sha256": hashes} | others
        write_json(part / CONTENTS, contents | {"digest": digest(contents)})


def load_mapped(folder: Path, fingerprint: str) -> Dataset | None:
    """The dataset with tensors that are read from disk on demand.

    None if there is no folder, or its fingerprint or version differs. Every file is read once to
    compare its hash: about a second for a million nodes with 64 features.

    Raises:
        UserError: the folder exists and cannot be read (DamagedError: a file is missing or its checksum differs).
    """
    if not folder.is_dir():
        return None
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        own = contents.pop("digest", None)  # None: written by an earlier version
        if own is not None and own != digest(contents):
            raise ChecksumError(f"the checksum of {CONTENTS} does not match")
        if own is None or (contents["fingerprint"], contents["format"]) != (fingerprint, FORMAT):
            return None
        hashes = contents["sha256"]
        for name, expected in hashes.items():
            if sha256(folder / f"{name}.npy") != expected:
                raise ChecksumError(f"the checksum of {name}.npy does not match")
        tensors: dict[str, Any] = {name: torch.from_numpy(open_array(folder / f"{name}.npy")) for name in hashes}
        return Dataset(**tensors, **{name: contents[name] for name in OTHERS if name in contents})
    except Exception as error:  # a missing file, invalid JSON, a different array, ...
        raise unreadable(folder, error) from None


def cached_mapped(make: Callable[[], Dataset | GraphSet | GraphCollection], folder: Path, fingerprint: str) -> Dataset:
    """The dataset of that folder, from the cache if it is up to date. Only one process at a time creates it.

    Args:
        make: returns the dataset.
    """

    def write() -> Dataset:
        save_mapped(make(), folder, fingerprint)
        dataset = load_mapped(folder, fingerprint)
        assert dataset is not None, "it was written a moment ago"
        return dataset

    return cached(lambda: load_mapped(folder, fingerprint), write, folder)


def _save(path: Path, array: np.ndarray) -> None:
    """As `np.save`, but in C order, so that a row is contiguous on disk, and with the OSError of a full disk."""
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(array), ROWS):
            file.write(np.ascontiguousarray(array[start : start + ROWS]).data)

"""A dataset that stays on disk: a folder with one .npy file for each array, opened memory-mapped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.data.dataset import FORMAT, Dataset
from src.data.graph_set import GraphSet
from src.files import atomic_write, cached, unreadable, write_json

CONTENTS = "contents.json"  # fingerprint, format, and the shape and type of every array
ROWS = 1 << 16  # of an array that are written together


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped array; nothing in it is unpickled, and what is written to it never reaches the disk.

    Raises:
        Exception: there is no whole array in the file, most often a ValueError.
    """
    return np.lib.format.open_memmap(path, mode="c")  # torch warns about tensors that may not be written to


def save_mapped(dataset: Dataset | GraphSet, folder: Path, fingerprint: str) -> None:
    """Write the folder, whole or not at all; one that was made from something else is replaced.

    One process at a time may: `keep_mapped` sees to it, others hold `lock_of(folder)`.

    Raises:
        OSError: it cannot be written, or the disk is full.
    """
    assert isinstance(dataset, Dataset), "only one graph stays on disk"
    arrays = {name: getattr(dataset, name).numpy() for name in Dataset.__dataclass_fields__}
    with atomic_write(folder) as part:
        part.mkdir()
        for name, array in arrays.items():
            _save(part / f"{name}.npy", array)
        found = {"fingerprint": fingerprint, "format": FORMAT, "arrays": {k: _kind(v) for k, v in arrays.items()}}
        write_json(part / CONTENTS, found)


def load_mapped(folder: Path, fingerprint: str) -> Dataset | None:
    """The dataset with tensors that are read from disk as they are needed, or None if it was made from something else.

    Raises:
        UserError: the folder is there and an array is missing, cut short, of another shape than was written, or cannot
            be read.
    """
    if not folder.is_dir():
        return None
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        if (contents["fingerprint"], contents["format"]) != (fingerprint, FORMAT):
            return None
        arrays = {name: open_array(folder / f"{name}.npy") for name in contents["arrays"]}
        wrong = [name for name, array in arrays.items() if _kind(array) != contents["arrays"][name]]
        if wrong:
            raise ValueError(wrong)
        tensors: dict[str, Tensor] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Dataset(**tensors)
    except Exception as error:  # no file, a torn header, fewer bytes than the header says, no JSON, ...
        raise unreadable(folder, error) from None


def keep_mapped(make: Callable[[], Dataset | GraphSet], folder: Path, fingerprint: str) -> Dataset:
    """The dataset of that folder, made only where it is not fresh: of several processes one makes it, others wait.

    Args:
        make: gives the dataset.
    """

    def write() -> Dataset:
        save_mapped(make(), folder, fingerprint)
        dataset = load_mapped(folder, fingerprint)
        assert dataset is not None, "it was written a moment ago"
        return dataset

    return cached(lambda: load_mapped(folder, fingerprint), write, folder)


def _save(path: Path, array: np.ndarray) -> None:
    """As `np.save`, but row by row whatever the order in memory, so that a row is read from one place; and an error of
    the disk is the disk's own.
    """
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(array), ROWS):
            file.write(np.ascontiguousarray(array[start : start + ROWS]).data)


def _kind(array: np.ndarray) -> list[Any]:
    return [list(array.shape), str(array.dtype)]

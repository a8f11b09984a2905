"""A dataset that stays on disk: a folder with one .npy file for each array, opened memory-mapped."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.data.atomic import kept
from src.data.dataset import FORMAT, Dataset
from src.data.graph_set import GraphSet
from src.errors import UserError

CONTENTS = "contents.json"  # fingerprint, format, and the shape and type of every array


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped array; nothing in it is unpickled, and what is written to it never reaches the disk.

    Raises:
        ValueError, OSError, EOFError: there is no whole array in the file.
    """
    return np.load(path, mmap_mode="c", allow_pickle=False)  # torch warns about tensors that may not be written to


def save_mapped(dataset: Dataset | GraphSet, folder: Path, fingerprint: str) -> None:
    """Write the folder, whole or not at all; one that was made from something else is replaced."""
    assert isinstance(dataset, Dataset), "only one graph stays on disk"
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, suffix=".part"))
    try:
        arrays = {name: getattr(dataset, name).numpy() for name in Dataset.__dataclass_fields__}
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        found = {"fingerprint": fingerprint, "format": FORMAT, "arrays": {k: _kind(v) for k, v in arrays.items()}}
        (part / CONTENTS).write_text(json.dumps(found, indent=2) + "\n")
        part.chmod(0o755)  # a temporary folder is its owner's alone
        if folder.is_dir():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_mapped(folder: Path, fingerprint: str) -> Dataset | None:
    """The dataset with tensors that are read from disk as they are needed, or None if it was made from something else.

    Raises:
        UserError: the folder is there and an array is missing, cut short, or of another shape than was written.
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
        raise UserError(f"{folder} is corrupt ({type(error).__name__}): delete it, it is made again") from None


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

    return kept(lambda: load_mapped(folder, fingerprint), write, folder.with_suffix(".lock"))


def _kind(array: np.ndarray) -> list[Any]:
    return [list(array.shape), str(array.dtype)]

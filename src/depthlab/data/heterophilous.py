"""Reader of the npz format of heterophilous-graphs (Platonov et al. 2023), also the format for a user's own graph."""

from pathlib import Path

import numpy as np

from depthlab.config.errors import UserError
from depthlab.data.checks import checked_dataset, unreadable_array
from depthlab.data.dataset import Dataset

ARRAYS = ("node_features", "edges", "node_labels", "train_masks", "val_masks", "test_masks")


def read_npz(files: list[Path], task: str = "classification") -> Dataset:
    """One npz file with the arrays `node_features` (n, f), `edges` (m, 2), `node_labels` (n,) and the three parts.

    `depthlab.data.checks.checked_dataset` defines the content of each array. Nothing is unpickled. Directed edges are
    read as undirected, self-loops and repetitions are dropped.

    Raises:
        UserError: the file cannot be read, an array is missing, or its content is not in the format.
    """
    if len(files) != 1:
        raise UserError(f"it must be one npz file, got {len(files)} files")
    name = files[0].name
    damage = "is not a readable npz file: write it again with numpy.savez"
    try:
        archive = np.load(files[0], allow_pickle=False)
        missing = [array for array in ARRAYS if array not in archive.files]
    except Exception as error:  # not a zip, truncated, an array instead of an archive, ...
        raise unreadable_array(name, error, damage) from None
    with archive:
        if missing:
            raise UserError(f"{name} lacks {', '.join(missing)}: the format needs {', '.join(ARRAYS)}")
        return checked_dataset({array: _read(archive, array, damage) for array in ARRAYS}, 1, task)


def _read(archive: np.lib.npyio.NpzFile, name: str, damage: str) -> np.ndarray:
    try:
        array: np.ndarray = archive[name]
    except Exception as error:  # Python objects, a truncated archive, ...
        raise unreadable_array(name, error, damage) from None
    return array

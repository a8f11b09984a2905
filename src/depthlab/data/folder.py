"""A user's own large graph: a folder of NumPy arrays.

    x.npy                       features (n, f); float32 is not copied in memory
    edge_index.npy              edges (2, m)
    y.npy                       targets (n,): classes, or numbers for regression
    train.npy val.npy test.npy  the split or splits

`depthlab.data.checks.checked_dataset` defines the content of each file. Self-loops and repeated edges are ignored.
"""

from pathlib import Path

import numpy as np

from depthlab.data.checks import checked_dataset, unreadable_array
from depthlab.data.dataset import Dataset
from depthlab.data.mapped import open_array


def read_folder(files: list[Path], task: str = "classification") -> Dataset:
    """The graph in a folder, with memory-mapped features.

    Args:
        files: the six files, in the order above.

    Raises:
        UserError: a file cannot be read, or its content is not in the format.
    """
    return checked_dataset({path.name: _opened(path) for path in files}, 0, task)


def _opened(path: Path) -> np.ndarray:
    try:
        return open_array(path)
    except Exception as error:  # an archive, no header, a torn one, objects, fewer bytes than the header says, ...
        damage = "is not a complete NumPy array: write it again with numpy.save"
        raise unreadable_array(path.name, error, damage) from None

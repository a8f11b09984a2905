"""Reader of the raw folder of a node set of OGB, such as ogbn-arxiv or ogbn-products, without the package `ogb`.

    raw/edge.csv.gz             source,target of each edge
    raw/node-feat.csv.gz        features of each node
    raw/node-label.csv.gz       class of each node
    raw/num-node-list.csv.gz    number of nodes
    split/NAME/{train,valid,test}.csv.gz    node indices, NAME is `time` or `sales_ranking`

The CSV files have no header (Hu et al. 2020, https://arxiv.org/abs/2005.00687).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depthlab.config.errors import UserError
from depthlab.data.checks import checked_dataset
from depthlab.data.dataset import Dataset
from depthlab.files import unreadable

ROWS = 1 << 20  # lines to read at once, to limit the memory


def read_ogb(files: list[Path], task: str = "classification") -> Dataset:
    """The graph of a raw folder, with its published split.

    Every file is read in chunks into one array of its final type. The edges and the features of ogbn-products take
    1 GB each. Publication years and species of nodes are not read.

    Args:
        files: the files in the order above.
        task: a key of `depthlab.tasks.task.TASKS`.

    Raises:
        UserError: a file cannot be read, or its content is not in the format.
    """
    edge, feat, label, count, *parts = files
    nodes = _table(count, np.int64)
    if nodes.size != 1:
        raise UserError(f"{_name(count)} must hold one number of nodes, got {nodes.size:,}: it must be one graph")
    x = _table(feat, np.float32)
    if len(x) != nodes[0, 0]:
        raise UserError(f"{_name(feat)} has {len(x):,} lines for {nodes[0, 0]:,} nodes: download it again")
    y = _table(label, np.float32)
    if y.shape[1] != 1:
        raise UserError(f"{_name(label)} must have one target per node, got {y.shape[1]}")
    targets = y[:, 0] if task == "regression" else np.where(np.isnan(y[:, 0]), -1, y[:, 0]).astype(np.int64)
    arrays = {_name(feat): x, _name(edge): _table(edge, np.int64), _name(label): targets}
    arrays |= {_name(part): _table(part, np.int64)[:, 0] for part in parts}
    return checked_dataset(arrays, 1, task)


def _table(path: Path, kind: Any) -> np.ndarray:
    """Read a CSV file of numbers without a header, (lines, columns)."""
    try:
        with pd.read_csv(path, header=None, dtype=kind, chunksize=ROWS) as parts:
            arrays = [part.to_numpy() for part in parts]
    except Exception as error:  # a damaged archive, a text, a line of another length, ...
        reason = " ".join(str(error).split())
        raise unreadable(Path(_name(path)), error, f"cannot be read as a table of numbers ({reason})") from None
    return np.concatenate(arrays)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"

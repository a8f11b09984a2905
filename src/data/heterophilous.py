"""Reader of the npz format of heterophilous-graphs (Platonov et al. 2023), also the format for a graph of one's own."""

from pathlib import Path

import numpy as np
import torch

from src.data.dataset import Dataset
from src.errors import UserError

ARRAYS = ("node_features", "node_labels", "edges", "train_masks", "val_masks", "test_masks")


def read_npz(files: list[Path]) -> Dataset:
    """One npz file with the arrays `node_features` (n, f), `node_labels` (n,), `edges` (m, 2) and the masks (s, n).

    Nothing is unpickled. Directed edges are read as undirected, self-loops and repetitions are dropped.

    Raises:
        UserError: an array is missing, or shapes, labels or node numbers do not fit together.
    """
    (path,) = files
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive.files]
            if missing:
                raise UserError(f"{path} lacks {', '.join(missing)}: the format needs {', '.join(ARRAYS)}")
            features, labels, edges, *masks = (archive[name] for name in ARRAYS)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: give the path of an npz file") from None
    except UserError:
        raise
    except Exception as error:  # not a zip, torn, pickled objects, ...
        raise UserError(f"{path} is not a readable npz file ({type(error).__name__})") from None
    _check(path, "node_labels must have shape (nodes,)", labels.ndim == 1 and labels.size > 0)
    nodes = len(labels)
    whole = labels.dtype.kind in "iu" and bool(((labels >= 0) & (labels < nodes)).all())
    _check(path, "node_labels must be whole numbers from 0, fewer classes than nodes", whole)
    _check(path, "node_features must have shape (nodes, features)", features.ndim == 2 and len(features) == nodes)
    _check(path, "node_features must be numbers", features.dtype.kind in "fiub")
    with np.errstate(over="ignore"):
        x = torch.from_numpy(features.astype(np.float32))
    _check(path, "node_features must be finite in single precision", bool(x.isfinite().all()))
    _check(path, "edges must have shape (edges, 2)", edges.ndim == 2 and edges.shape[1] == 2)
    inside = edges.dtype.kind in "iu" and (edges.size == 0 or bool((edges >= 0).all() and (edges < nodes).all()))
    _check(path, f"edges must name nodes from 0 to {nodes - 1}", inside)
    for name, mask in zip(ARRAYS[3:], masks, strict=True):
        _check(path, f"{name} must have shape (splits, nodes)", mask.ndim == 2 and mask.shape[1] == nodes)
        _check(path, f"{name} must be true or false", mask.dtype.kind in "biu")
        _check(path, f"{name} must hold a node in every split", len(mask) > 0 and mask.astype(bool).any(axis=1).all())
    _check(path, "the masks must have the same number of splits", len({len(mask) for mask in masks}) == 1)
    train, val, test = (torch.from_numpy(mask.astype(bool)) for mask in masks)
    overlap = (train & val) | (train & test) | (val & test)
    _check(path, "train, val and test masks must not overlap", not overlap.any())
    edge_index, y = torch.from_numpy(edges.astype(np.int64).T.copy()), torch.from_numpy(labels.astype(np.int64))
    return Dataset(x, edge_index, y, train, val, test)


def _check(path: Path, rule: str, holds: bool) -> None:
    if not holds:
        raise UserError(f"{path}: {rule}")

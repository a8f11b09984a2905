"""Read one PyG graph, or many, saved with `torch.save`."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from depthlab.config.errors import UserError
from depthlab.data.collect import collect_raw, holds_graphs, join_parts
from depthlab.data.convert import data_arrays, from_arrays
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.files import unreadable

CLASSES: list[Any] = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]  # the classes that torch may create
SAVE = "save a torch_geometric.data.Data, or a dict of tensors, with torch.save"


def read_pt(files: list[Path], task: str = "classification", edge_weight: str = "auto") -> Dataset | GraphCollection:
    """Read a file with a PyG `Data`, or a dict with its tensors: `x`, `edge_index`, `y`, and optionally the masks.

    The file may also hold many graphs, as in `depthlab.data.collect.collect`: a list of `Data`, or a dict of the lists
    `train`, `val` and `test`.

    Only tensors, plain types and the classes that make up a `Data` are unpickled. `train_mask`, `val_mask` and
    `test_mask` have shape (n,), or (n, s) for s splits; without them all splits are drawn at random. The optional lists
    `node_names` and `class_names` name the nodes and classes.

    Args:
        files: the file.
        task: a key of `depthlab.tasks.task.TASKS`.
        edge_weight: attribute with edge weights; `auto`: `edge_weight` if there is one; `none`: no weights.

    Raises:
        UserError: the file cannot be read or holds something else, or an array is invalid.
    """
    if len(files) != 1:
        raise UserError(f"it must be one file, got {len(files)} files: name one with dataset.path")
    content = _loaded(files[0])
    if holds_graphs(content):
        return collect_raw(content, edge_weight=edge_weight, task=task, setting="dataset.edge_weight")
    data = _data(content, files[0].name)
    names = {name: _names(data, name) for name in ("node_names", "class_names")}
    return from_arrays(data_arrays(data, {"edge_weight": edge_weight}, "dataset.edge_weight"), task, **names)


def read_data(path: Path) -> Data | list[Data]:
    """Read the graph in a file without changes, or the list of many; parts follow each other.

    Raises:
        UserError: the file cannot be read, or does not hold graphs.
    """
    content = _loaded(path)
    if holds_graphs(content):
        return content if isinstance(content, list) else join_parts(content)[0]
    return _data(content, path.name)


def allowed_classes() -> Any:
    """Context in which torch may create `CLASSES`. Those that PyG has allowed before stay allowed after it."""
    known = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals([kind for kind in CLASSES if kind not in known])


def _loaded(path: Path) -> Any:
    try:
        with allowed_classes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the protocol of a refused pickle
            return torch.load(path, weights_only=True)
    except Exception as error:  # a pickle, a truncated file, other bytes: torch has no common error
        unsafe = str(error).partition("Unsupported global: GLOBAL ")[2].partition(" was not an allowed")[0]
        what = f"holds {unsafe}, which is not unpickled" if unsafe else "is not a file of tensors"
        raise unreadable(Path(path.name), error, f"{what}: {SAVE}") from None


def _data(content: Any, name: str) -> Data:
    """The single graph in a file; also accepts the tuple that PyG datasets save."""
    if isinstance(content, tuple) and len(content) > 1 and content[1] is None:
        content = content[0]
    if isinstance(content, dict) and all(isinstance(key, str) for key in content):
        return Data.from_dict(content)
    if isinstance(content, Data):
        return content
    if isinstance(content, list | tuple):
        raise UserError(f"{name} must hold one graph, got {len(content)} objects: save one Data")
    kind = "a graph with several kinds of nodes" if isinstance(content, HeteroData) else type(content).__name__
    raise UserError(f"{name} must hold one graph, got {kind}: {SAVE}")


def _names(data: Data, name: str) -> list[str] | None:
    names = data.get(name)
    return [str(entry) for entry in names] if isinstance(names, list) else None

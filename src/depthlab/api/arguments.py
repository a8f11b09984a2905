"""Turn a class or a graph in memory into settings, for the arguments `model` and `dataset` of `dl.train`."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data

from depthlab.config.errors import UserError
from depthlab.config.files import option_names
from depthlab.data.collect import collect_raw, holds_graphs, unpacked
from depthlab.data.convert import data_weight, to_dataset
from depthlab.data.dataset import Dataset
from depthlab.files import atomic_write, lock_of
from depthlab.folders import root

GRAPHS = "graphs"  # folder of the project for graphs passed to dl.train in memory
BATCH_SIZE = 64  # default number of graphs in a training step
EDGE_WEIGHT = "dataset.edge_weight"


def model_settings(model: Any) -> dict[str, Any]:
    """The settings for the argument `model`: the name of an architecture, or the class of any network.

    Args:
        model: an option of conf/model; a dotted name or `FILE.py:CLASS`; or a class that can be imported.

    Raises:
        UserError: it is neither a name nor a class, or another process could not import the class.
    """
    if isinstance(model, str):
        is_target = model not in option_names("model") and (":" in model or "." in model)
        return {"model": "module", "model.target": model} if is_target else {"model": model}
    if not isinstance(model, type):
        hint = ": dl.train builds the network itself, from depth and seed" if isinstance(model, nn.Module) else ""
        raise UserError(f"model must be a name or a class, got an object of {type(model).__name__}{hint}")
    module, name = model.__module__, model.__qualname__
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not model:
        raise UserError(
            f"{name} is defined where no other process can import it (a notebook, a script or a function): put it in a"
            f" file such as my_net.py and import it from there, or give model='my_net.py:{name}'"
        )
    return {"model": "module", "model.target": f"{module}.{name}"}


def dataset_settings(graph: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for the argument `dataset`: its name, or graphs in memory, which are saved in the project folder.

    The file name contains a hash of the content, so equal graphs share a file, and the command line can repeat the run.

    Args:
        graph: an option of conf/dataset, a PyG `Data` or dataset, a mapping with the tensors of a `Data`, or what
            `depthlab.data.convert.to_dataset` accepts; or many graphs: a list of `Data`, or a mapping of the lists
            `train`, `val` and `test`.
        settings: the other settings of the run; `dataset.edge_weight` selects the edge weights, or `none`.

    Raises:
        UserError: it is not one or more graphs with features and targets.
    """
    if isinstance(graph, str):
        return {"dataset": graph}
    graph = unpacked(graph)
    weight = settings.get(EDGE_WEIGHT)
    wanted = None if weight == "auto" else weight
    if holds_graphs(graph):
        found, usual = _many(graph, wanted, settings.get("dataset.task"))
    else:
        found, usual = _one(graph, wanted)
    if weight is not None:
        found[EDGE_WEIGHT] = "auto"  # the file contains the selected weights
    return found | {key: value for key, value in usual.items() if key not in settings}


Found = tuple[dict[str, Any], dict[str, Any]]  # required settings, and defaults


def _one(graph: Any, edge_weight: str | None) -> Found:
    """The settings for one graph, which is saved with its directed edges and weights."""
    if isinstance(graph, Mapping) and not hasattr(graph, "nodes"):
        graph = Data.from_dict({key: torch.as_tensor(value) for key, value in graph.items()})
    weight: Any = edge_weight
    if isinstance(graph, Data) and graph.get("edge_index") is not None:  # the remedy in an error is the setting
        weight = data_weight(graph, edge_weight, EDGE_WEIGHT)
        weight = "none" if weight is None else weight
    dataset = graph if isinstance(graph, Dataset) else to_dataset(graph, directed=True, edge_weight=weight)
    dataset = replace(dataset, edge_weight=None) if edge_weight == "none" else dataset
    content: dict[str, Any] = {"x": dataset.x, "edge_index": dataset.edge_index, "y": dataset.y}
    if len(dataset.train):
        parts = {"train_mask": dataset.train, "val_mask": dataset.val, "test_mask": dataset.test}
        content |= {name: mask.T.contiguous() for name, mask in parts.items()}
    optional = {name: getattr(dataset, name) for name in ("edge_weight", "node_names", "class_names")}
    content |= {name: value for name, value in optional.items() if value is not None}
    direction = {"dataset.directed": True} if isinstance(graph, Dataset) and graph.directed else {}
    return _saved("graph", content, content), direction | _usual(dataset.y)


def _many(graphs: Any, edge_weight: str | None, task: str | None) -> Found:
    """Check many graphs, and return their settings."""
    collection = collect_raw(graphs, edge_weight=edge_weight, task=task, setting=EDGE_WEIGHT)

    def plain(graph: Data) -> Data:
        kept = {"x": graph.x, "edge_index": graph.edge_index, "y": graph.y}
        weight = data_weight(graph, edge_weight, EDGE_WEIGHT)
        return Data.from_dict(kept if weight is None else kept | {"edge_weight": weight})

    parts = {"": graphs} if isinstance(graphs, list) else graphs
    content = {name: [plain(graph) for graph in part] for name, part in parts.items()}
    usual = {"dataset.batch_size": BATCH_SIZE} | ({"dataset.pooling": "none"} if collection.has_node_targets else {})
    found = _saved("graphs", content.get("", content), collection.tensors)
    return found, usual | _usual(collection.y)


def _usual(y: torch.Tensor) -> dict[str, Any]:
    return {"dataset.task": "regression", "dataset.metric": "mae"} if y.is_floating_point() else {}


def _saved(name: str, content: Any, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Save a file in the project, and return its settings; a path below the current folder is relative.

    Args:
        name: prefix of the file name.
        content: content of the file.
        identity: tensors and lists of strings to hash.
    """
    digest = hashlib.sha256()
    for key, value in identity.items():
        digest.update(key.encode())
        digest.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else "\n".join(value).encode())
    path = root() / GRAPHS / f"{name}-{digest.hexdigest()[:12]}.pt"
    with lock_of(path):
        if not path.is_file():
            with atomic_write(path) as part:
                torch.save(content, part)
    here = Path.cwd()
    return {"dataset": "pt", "dataset.path": str(path.relative_to(here) if path.is_relative_to(here) else path)}

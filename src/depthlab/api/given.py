"""Objects in the place of names: a class as the architecture, a graph in memory as the dataset."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.data import Dataset as PygDataset

from depthlab.config.errors import UserError
from depthlab.config.files import option_names
from depthlab.data.convert import to_dataset
from depthlab.data.dataset import Dataset
from depthlab.files import atomic_write, lock_of
from depthlab.folders import root

GRAPHS = "graphs"  # folder of the project for graphs that were given in memory


def model_settings(model: Any) -> dict[str, Any]:
    """The settings for an architecture: its name, or the class of any network.

    Args:
        model: an option of conf/model; a dotted name or `FILE.py:CLASS`; or a class that can be imported.

    Raises:
        UserError: it is something else, or a class that another process could not import.
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
    """The settings for a dataset: its name, or a graph in memory, which is saved in the project folder.

    The file is named after its content: the same graph has one file, and the command line can repeat the run.

    Args:
        graph: an option of conf/dataset, a PyG `Data` or dataset of one graph, a mapping with the tensors of a
            `Data`, or what `depthlab.data.convert.to_dataset` takes.
        settings: the other settings of the run; `dataset.edge_weight` chooses the weights, or `none`.

    Raises:
        UserError: it is not a graph with features and targets.
    """
    if isinstance(graph, str):
        return {"dataset": graph}
    weight = settings.get("dataset.edge_weight")
    dataset = _as_dataset(graph, None if weight == "auto" else weight)
    found: dict[str, Any] = {"dataset": "pt", "dataset.path": str(_saved(dataset))}
    if weight is not None:
        found["dataset.edge_weight"] = "auto"  # the file has the weights that were chosen
    if dataset.y.is_floating_point():
        usual = {"dataset.task": "regression", "dataset.metric": "mae"}
        found |= {key: value for key, value in usual.items() if key not in settings}
    return found


def _as_dataset(graph: Any, edge_weight: str | None) -> Dataset:
    """The graph with the directions and weights of its edges as they are listed."""
    if isinstance(graph, Dataset):
        return graph
    if isinstance(graph, PygDataset):
        if len(graph) != 1:
            raise UserError(f"{type(graph).__name__} has {len(graph)} graphs: give one of them, such as dataset[0]")
        graph = graph[0]
    if isinstance(graph, Mapping) and not hasattr(graph, "nodes"):
        graph = Data.from_dict({key: torch.as_tensor(value) for key, value in graph.items()})
    return to_dataset(graph, directed=True, edge_weight=edge_weight)


def _saved(dataset: Dataset) -> Path:
    """The path of a file with the graph, relative if it is below the current folder."""
    content: dict[str, Any] = {"x": dataset.x, "edge_index": dataset.edge_index, "y": dataset.y}
    if len(dataset.train):
        parts = {"train_mask": dataset.train, "val_mask": dataset.val, "test_mask": dataset.test}
        content |= {name: mask.T.contiguous() for name, mask in parts.items()}
    optional = {name: getattr(dataset, name) for name in ("edge_weight", "node_names", "class_names")}
    content |= {name: value for name, value in optional.items() if value is not None}
    digest = hashlib.sha256()
    for name, value in content.items():
        digest.update(name.encode())
        digest.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else "\n".join(value).encode())
    path = root() / GRAPHS / f"graph-{digest.hexdigest()[:12]}.pt"
    with lock_of(path):
        if not path.is_file():
            with atomic_write(path) as part:
                torch.save(content, part)
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path

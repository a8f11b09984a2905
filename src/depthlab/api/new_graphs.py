"""Read new graphs and prepare them like the training data; they need no targets."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.utils import get_method
from torch_geometric.data import Data

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.collect import collect_raw, holds_graphs, unpacked
from depthlab.data.convert import to_dataset
from depthlab.data.dataset import Dataset
from depthlab.data.edges import with_edges
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.own import own_files, reading
from depthlab.data.prepare import row_normalized
from depthlab.data.pt import read_data
from depthlab.data.tables import read_csv
from depthlab.ops.features import has_unit_rows

New = TypeVar("New", bound=Dataset | GraphCollection)


def read_new(name: str, settings: DatasetSettings) -> Any:
    """Read one or more graphs saved with `torch.save`; or, for a run on CSV files, a folder with such files.

    Args:
        name: path of the file or folder.
        settings: dataset settings of the run, which name the columns.

    Raises:
        UserError: there is no such file, it holds no graph, or the folder cannot be read with the settings of the run.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111, leaves an unknown user's ~ as it is
    if path.is_file():
        return read_data(path)
    if not path.is_dir():
        raise UserError(f"there is no file {path}: correct data={name}")
    if get_method(settings.target) is not read_csv:
        raise UserError(
            f"{path} is a folder, and {settings.name} was not read from CSV files: give a file with a PyG Data that"
            " torch.save wrote"
        )
    there = replace(settings, path=str(path))
    with reading(there, own_files(there)) as files:
        return with_edges(read_csv(files, **settings.arguments, labelled=False), bool(settings.directed))


def like_training(
    data: Any, settings: DatasetSettings, features: int, unit_rows: bool | None
) -> Dataset | GraphCollection:
    """Convert data in memory to a dataset, with edges and features as in training; targets and masks are ignored.

    Args:
        data: a graph, as for `depthlab.data.convert.to_dataset`; if the run has many graphs, a `Data` or a list of
            them.
        settings: dataset settings of the run.
        features: number of features that the network takes.
        unit_rows: whether the training features of each node sum to 1; None if unknown.

    Raises:
        UserError: it is not a graph with features, or its features differ from those of the training.
    """
    name, weight = settings.name, settings.arguments.get("edge_weight")
    chosen = None if weight == "auto" else weight
    graphs = unpacked(data)
    if not settings.has_many_graphs:
        if holds_graphs(graphs):
            raise UserError(f"{name} is one graph, and the data are {len(graphs)}: predict each of them on its own")
        return _like(unlabelled_dataset(graphs, bool(settings.directed), chosen), settings, features, unit_rows)
    if settings.pooling is None:
        raise UserError(f"the graphs of {name} have the same edges: call predict without data")
    graphs = [graphs] if isinstance(graphs, Data) else graphs
    if not (isinstance(graphs, list) and holds_graphs(graphs)):
        raise UserError(f"{name} has many graphs: give a PyG Data or a list of them, got {type(data).__name__}")
    of_nodes = settings.pooling == "none"
    collection = unlabelled_graphs(graphs, of_nodes, bool(settings.directed), chosen)
    return _like(collection, settings, features, unit_rows)


def unlabelled_dataset(data: Any, directed: bool = False, edge_weight: str | None = None) -> Dataset:
    """Convert a graph without targets to a dataset in which every node is in every part of the split.

    Args:
        data: as for `depthlab.data.convert.to_dataset`, or a `Dataset`; targets and masks are ignored.
        directed: keep the direction of edges.
        edge_weight: edge attribute with weights, or `none`; by default `edge_weight` if there is one.

    Raises:
        UserError: it is not a graph with features.
    """
    names = None
    if isinstance(data, Data):
        nodes, names = len(data.x) if data.get("x") is not None else 0, data.get("node_names")
        data = _attributes(data)
    elif isinstance(data, Dataset):
        nodes = data.num_nodes
    else:
        nodes = data.number_of_nodes() if hasattr(data, "number_of_nodes") else 0
    if isinstance(data, Dataset):
        dataset = replace(data, edge_weight=None) if edge_weight == "none" else data
        dataset = with_edges(dataset) if data.directed and not directed else dataset
    else:
        targets: Any = {"y": torch.zeros(nodes), "task": "regression"}
        dataset = to_dataset(data, directed=directed, edge_weight=edge_weight, node_names=names, **targets)
    every, y = torch.ones(1, nodes, dtype=torch.bool), torch.zeros(nodes, dtype=torch.long)
    return replace(dataset, y=y, train=every, val=every, test=every)


def unlabelled_graphs(
    graphs: Sequence[Data], of_nodes: bool = False, directed: bool = False, edge_weight: str | None = None
) -> GraphCollection:
    """Convert graphs without targets to a collection in which every graph is in every part of the split.

    Args:
        graphs: graphs with x and edge_index.
        of_nodes: whether the targets of the training are node-level.
        directed, edge_weight: as for `unlabelled_dataset`.

    Raises:
        UserError: as `depthlab.data.collect.collect`; the error gives the index of the graph.
    """
    plain = [_attributes(graph) for graph in graphs]
    for graph in plain:
        graph.y = torch.zeros(len(graph.x) if of_nodes and graph.get("x") is not None else 1)
    raw = with_edges(collect_raw(plain, edge_weight=edge_weight, task="regression"), directed)
    every = torch.ones(1, raw.num_graphs, dtype=torch.bool)
    return replace(raw, train=every, val=every, test=every)


def _attributes(data: Data) -> Data:
    kept = {key: value for key, value in data.to_dict().items() if key == "x" or key.startswith("edge_")}
    return Data.from_dict({key: value for key, value in kept.items() if value is not None})


def _like(dataset: New, settings: DatasetSettings, features: int, unit_rows: bool | None) -> New:
    """Check the features, and normalise them as in training."""
    name = settings.name
    if dataset.x.shape[1] != features:
        raise UserError(
            f"the network was trained on {features} features per node of {name}, but the data have"
            f" {dataset.x.shape[1]}: give the same features in the same order"
        )
    x, unit = dataset.x, has_unit_rows(dataset.x)
    if settings.normalize_features:
        x = row_normalized(x, "the data")
    elif unit_rows and not unit:
        raise UserError(
            f"the features of each node of {name} sum to 1 and those of the data do not: divide each row by its sum"
        )
    elif unit_rows is False and unit and not bool((x == x.round()).all()):
        raise UserError(
            f"the features of each node of the data sum to 1 and those of {name} do not: give them unnormalised"
        )
    return replace(dataset, x=x)

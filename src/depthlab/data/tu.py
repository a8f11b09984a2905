"""Read a dataset of graphs in the text format of TUDataset (Morris et al. 2020, https://arxiv.org/abs/2007.08663).

NAME_A.txt                  edges: two nodes per line, numbered from 1 over all graphs
NAME_graph_indicator.txt    the graph of each node, numbered from 1
NAME_graph_labels.txt       the class of each graph, or
NAME_graph_attributes.txt   for a regression, its numbers
NAME_node_labels.txt        optional: one or more labels of each node, which become one-hot features
NAME_node_attributes.txt    optional: numeric features of each node, which precede the one-hot features
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.config.errors import UserError
from depthlab.data.collect import assemble
from depthlab.data.graph_collection import GraphCollection

EDGES, INDICATOR = "A", "graph_indicator"
FEATURES = ("auto", "degree", "ones")


def read_tu(
    files: list[Path], task: str = "classification", features: str = "auto", edge_weight: str = "auto",
    target: int = 0,
) -> GraphCollection:  # fmt: skip
    """Read a folder of TUDataset's text files. Features and classes agree with PyG's `TUDataset` and
    `use_node_attr=True`.

    Args:
        files: the files of the folder.
        task: `classification` of the graph labels, or `regression` of a graph attribute.
        features: `auto` for node attributes and one-hot node labels; `degree` for the one-hot degree (Xu et al. 2019,
            https://arxiv.org/abs/1810.00826); `ones` for a constant one.
        edge_weight: `none` ignores edge labels and edge attributes.
        target: for a regression, the index of the graph attribute.

    Raises:
        UserError: a file is missing, cannot be read, or does not fit the others.
    """
    if features not in FEATURES:
        raise UserError(f"dataset.features must be one of {', '.join(FEATURES)}, got {features}")
    tables = _tables(files)
    prefix = tables.prefix
    if edge_weight != "none" and (
        extra := [name for name in ("edge_labels", "edge_attributes") if name in tables.paths]
    ):
        raise UserError(
            f"{prefix}_{extra[0]}.txt holds attributes of edges, which are not used in a set of graphs:"
            " dataset.edge_weight=none leaves them out"
        )
    graph_of = tables.integers(INDICATOR)[:, 0] - 1
    if (graph_of < 0).any():
        raise UserError(f"{prefix}_{INDICATOR}.txt must number graphs from 1, got {int(graph_of.min()) + 1}")
    nodes, graphs = len(graph_of), int(graph_of.max()) + 1
    sizes = torch.bincount(graph_of, minlength=graphs)
    if (graph_of.diff() < 0).any():
        raise UserError(f"{prefix}_{INDICATOR}.txt must list the nodes of one graph after the other")
    if not sizes.all():
        empty = int((sizes == 0).nonzero()[0]) + 1
        raise UserError(f"{prefix}_{INDICATOR}.txt has no node of graph {empty}: a graph needs one or more nodes")
    edge_index = tables.integers(EDGES, 2).T - 1
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < nodes:
        low, high = int(edge_index.min()) + 1, int(edge_index.max()) + 1
        raise UserError(f"{prefix}_{EDGES}.txt must hold nodes 1 to {nodes}, got {low} to {high}")
    if (wrong := (graph_of[edge_index[0]] != graph_of[edge_index[1]]).nonzero()).numel():
        raise UserError(
            f"{prefix}_{EDGES}.txt connects two graphs in line {int(wrong[0]) + 1}: an edge must stay within one graph"
        )
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    y, names = _target(tables, graphs, task, target)
    x = _features(tables, features, edge_index, nodes)
    return replace(assemble(x, edge_index, ptr, y), class_names=names)


class _Tables:
    """The text files of one data set.

    Args:
        prefix: NAME.
        paths: paths of the files, by name without prefix and extension.
    """

    def __init__(self, prefix: str, paths: Mapping[str, Path]) -> None:
        self.prefix, self.paths = prefix, paths

    def numbers(self, name: str) -> np.ndarray:
        """The numbers in a file, (lines, columns)."""
        file = f"{self.prefix}_{name}.txt"
        if name not in self.paths:
            raise UserError(f"there is no {file}: a TUDataset folder needs {self.prefix}_{EDGES}.txt and this file")
        try:
            table = pd.read_csv(self.paths[name], header=None, skipinitialspace=True).to_numpy()
        except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError):
            raise UserError(f"{file} must hold numbers separated by commas, the same count in every line") from None
        if table.dtype.kind not in "iuf" or not np.isfinite(table).all():
            raise UserError(f"{file} must hold finite numbers separated by commas, the same count in every line")
        return table

    def integers(self, name: str, columns: int | None = None) -> Tensor:
        """The whole numbers in a file, int64 (lines, columns)."""
        table = self.numbers(name)
        if table.dtype.kind not in "iu" or (columns and table.shape[1] != columns):
            count = f"{columns} " if columns else ""
            raise UserError(f"{self.prefix}_{name}.txt must hold {count}whole numbers in every line")
        return torch.from_numpy(table.astype(np.int64))


def _tables(files: list[Path]) -> _Tables:
    found = [file.name.removesuffix(f"_{EDGES}.txt") for file in files if file.name.endswith(f"_{EDGES}.txt")]
    if len(found) != 1:
        problem = f"the files of {' and '.join(found)}" if found else f"no file NAME_{EDGES}.txt"
        raise UserError(f"the folder holds {problem}: dataset.path must be the folder of one TUDataset")
    start = f"{found[0]}_"
    texts = [file for file in files if file.name.startswith(start) and file.name.endswith(".txt")]
    return _Tables(found[0], {file.name.removeprefix(start).removesuffix(".txt"): file for file in texts})


def _target(tables: _Tables, graphs: int, task: str, column: int) -> tuple[Tensor, list[str] | None]:
    """The target of each graph, and the class names, which are the labels in the file."""
    name = "graph_attributes" if task == "regression" else "graph_labels"
    if name not in tables.paths:
        other = "regression dataset.metric=mae" if task == "classification" else "classification dataset.metric=acc"
        raise UserError(f"there is no {tables.prefix}_{name}.txt for this task: use dataset.task={other}")
    table = tables.numbers(name)
    if len(table) != graphs:
        raise UserError(f"{tables.prefix}_{name}.txt must have a line for each of {graphs} graphs, got {len(table)}")
    if task == "regression":
        if not 0 <= column < table.shape[1]:
            raise UserError(f"dataset.target must be a column of {tables.prefix}_{name}.txt, 0 to {table.shape[1] - 1}")
        return torch.from_numpy(table[:, column].astype(np.float32)), None
    labels, classes = np.unique(table[:, 0], return_inverse=True)
    return torch.from_numpy(classes), [str(label) for label in labels]


def _features(tables: _Tables, features: str, edge_index: Tensor, nodes: int) -> Tensor:
    if features == "ones":
        return torch.ones(nodes, 1)
    if features == "degree":
        edges = edge_index[:, edge_index[0] != edge_index[1]]
        both = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
        return F.one_hot(torch.bincount(both[0], minlength=nodes)).float()
    columns = []
    for name in ("node_attributes", "node_labels"):
        if name not in tables.paths:
            continue
        table = torch.from_numpy(tables.numbers(name)).float() if name == "node_attributes" else tables.integers(name)
        if len(table) != nodes:
            raise UserError(f"{tables.prefix}_{name}.txt must have a line for each of {nodes} nodes, got {len(table)}")
        columns += [table] if name == "node_attributes" else [F.one_hot(c - c.min()).float() for c in table.T]
    if not columns:
        raise UserError(
            f"there is no {tables.prefix}_node_labels.txt or {tables.prefix}_node_attributes.txt: use"
            " dataset.features=degree or dataset.features=ones"
        )
    return torch.cat(columns, 1)

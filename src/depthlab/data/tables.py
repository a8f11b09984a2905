"""Read a graph from two CSV files, one of nodes and one of edges."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from depthlab.config.errors import UserError
from depthlab.data.checks import checked_dataset
from depthlab.data.dataset import Dataset
from depthlab.data.table import Table, read_table

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LABELS = ("label", "class", "y", "target")
WEIGHTS = ("weight", "edge_weight")


def read_csv(
    files: list[Path],
    edges: str = "edges.csv",
    nodes: str = "nodes.csv",
    id: str = "auto",
    label: str = "auto",
    features: str | Sequence[str] | None = None,
    split_column: str = "auto",
    source: str = "auto",
    target: str = "auto",
    edge_weight: str = "auto",
    task: str = "classification",
    labelled: bool = True,
) -> Dataset:
    """Read two CSV files with headers, optionally compressed (.gz, .bz2, .xz, .zip).

    Node and class names are kept. Classes are sorted by name, or by value if all are integers. A node with an empty
    label has no class.

    Args:
        files: the files of edges and nodes.
        edges, nodes: the file names, which are part of the data hash.
        id: node column with node names, any strings; `auto`: `id`, or else the first column.
        label: node column with the target; `auto`: the first existing column of `LABELS`.
        features: node columns, or prefixes followed by `*`; None for all other numeric columns.
        split_column: node column with train, val, test or nothing; `auto`: `split` if it exists; `none`: random splits.
        source, target: edge columns with node names; `auto`: the columns of this name, or else the first two.
        edge_weight: edge column with weights; `auto`: the first existing column of `WEIGHTS`; `none`: no weights.
        task: a key of `depthlab.tasks.task.TASKS`.
        labelled: whether to read targets and splits; if not, their columns may be missing, and targets are 0.

    Raises:
        UserError: a file cannot be read, a column does not exist, or a cell is invalid. The error names the file, the
            column and the line.
    """
    if len(files) != 2:
        raise UserError(f"dataset.nodes and dataset.edges must name different files, got {files[0].name} for both")
    edge_file, node_file = files
    node_table = read_table(node_file)
    id_column = node_table.column(id, "id", ("id",), first=0)
    if not labelled:
        label, split_column = (
            name if name in ("auto", *node_table.columns) else "none" for name in (label, split_column)
        )
    label_column = node_table.column(label, "label", LABELS, optional=not labelled)
    part_column = node_table.column(split_column, "split_column", ("split",), optional=True)
    assert id_column is not None, "only columns that may be missing are None"
    names = node_table.names(id_column)
    repeated = names.duplicated(keep=False)
    if repeated.any():
        first, second = np.flatnonzero(names == names[repeated][0])[:2] + 2
        raise UserError(
            f"{node_file.name} has {names[repeated][0]!r} in column {id_column} in lines {first} and {second}: a node"
            " must have one line"
        )
    x, notes = node_table.numbers(features, without=[id_column, label_column, part_column])
    y: np.ndarray = np.zeros(len(names))
    class_names = None
    if not labelled or label_column is None:
        task, part_column = "regression", None
    elif task == "classification":
        y, class_names, more = node_table.classes(label_column)
        notes += more
    else:
        y = node_table.targets(label_column)
    ends, weight = _edges(read_table(edge_file), names, node_file.name, id_column, (source, target), edge_weight)
    arrays = {"features": x, "edges": ends, f"column {label_column}": y}
    if part_column is not None:
        arrays |= _parts(node_table, part_column)
    dataset = checked_dataset(arrays, 0, task, weight)
    return replace(dataset, node_names=names.tolist(), class_names=class_names, notes=notes)


def _edges(
    table: Table, names: "pd.Index[str]", node_file: str, id_column: str, ends: tuple[str, str], edge_weight: str
) -> tuple[np.ndarray, tuple[str, np.ndarray] | None]:
    """The edges (2, m) as node indices, and their weights if there are any."""
    columns: list[str] = []
    for number, (name, setting) in enumerate(zip(ends, ("source", "target"), strict=True)):
        column = table.column(name, setting, (setting,), first=number)
        assert column is not None, "an end of an edge is not optional"
        columns.append(column)
    numbers = []
    for column in columns:
        given = table.names(column)
        found = names.get_indexer(given)
        if len(unknown := np.flatnonzero(found < 0)):
            raise UserError(
                f"{table.file}, line {unknown[0] + 2}: {column} {given[unknown[0]]!r} does not exist in {node_file}"
                f" (column {id_column}), and {len(unknown):,} of {len(given):,} values are missing: add these nodes, or"
                " remove their edges"
            )
        numbers.append(found.astype(np.int64))
    weights = table.column(edge_weight, "edge_weight", WEIGHTS, optional=True)
    others = [column for column in table.columns if column not in (*columns, weights)]
    if others and edge_weight == "auto":
        raise UserError(
            f"{table.file} has {', '.join(others[:5])} besides {columns[0]} and {columns[1]}, and edge columns are not"
            f" used by default: dataset.edge_weight={weights or others[0]} uses one as weights,"
            " dataset.edge_weight=none ignores all"
        )
    weight = None if weights is None else (f"column {weights} of {table.file}", table.number(weights))
    return np.stack(numbers), weight


def _parts(table: Table, column: str) -> dict[str, np.ndarray]:
    words = table.texts(column).str.strip().str.lower()
    parts = words.map(PARTS).where(words != "", "")
    if len(wrong := np.flatnonzero(parts.isna())):
        raise UserError(
            f"{table.file}, line {wrong[0] + 2}: column {column} must hold train, val, test or nothing, got"
            f" {words.iloc[wrong[0]]!r}"
        )
    # copies, since pandas makes its arrays read-only
    masks = {part: (parts == part).to_numpy(copy=True)[None] for part in ("train", "val", "test")}
    if not any(mask.any() for mask in masks.values()):
        raise UserError(f"{table.file}: column {column} is empty: fill it, or use dataset.split_column=none")
    return {f"{part} in column {column}": mask for part, mask in masks.items()}

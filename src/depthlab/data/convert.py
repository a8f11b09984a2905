"""Convert a graph in memory (PyG, networkx, SciPy, NumPy or torch) to a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.checks import checked_dataset
from depthlab.data.dataset import Dataset
from depthlab.data.edges import with_edges
from depthlab.data.labels import encode_labels
from depthlab.data.networkx_graph import networkx_arrays
from depthlab.data.sizes import FRACTIONS, Sizes

Arrays = dict[str, Any]
MASKS = {"train_mask": "train", "val_mask": "val", "test_mask": "test"}
FORMS = "a PyG Data, a networkx graph, a SciPy sparse matrix, or edges (2, m)"


def to_dataset(
    graph: Any,
    x: Any = None,
    y: Any = None,
    *,
    train: Any = None,
    val: Any = None,
    test: Any = None,
    edge_weight: Any = None,
    directed: bool = False,
    task: str | None = None,
    node_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    split: str = "split",
    sizes: Sizes = FRACTIONS,
) -> Dataset:
    """Convert a graph in memory to a dataset.

    Arguments override the attributes of the graph. Without masks, all splits are drawn at random.

    Args:
        graph: a PyG `Data`; a networkx graph, whose nodes are numbered in their order; a SciPy sparse matrix (n, n),
            whose entry (i, j) is the weight of the edge from i to j, all ones for a graph without weights; or
            integers (2, m), sources and targets.
        x: features (n, f), dense or sparse; for a networkx graph also names of node attributes, by default `x`.
        y: targets (n,) or (n, 1): whole numbers, names of classes or, for a regression, floating-point numbers; -1,
            None or NaN for unlabelled nodes. For a networkx graph also the name of an attribute, by default `y`.
        train, val, test: masks (n,), (n, s) or (s, n), or node indices (k,).
        edge_weight: weights (m,) >= 0; for a `Data` or a networkx graph also the name of an edge attribute, by default
            `edge_weight` or `weight`. `none` ignores weights.
        directed: keep the direction of edges.
        task: `classification` or `regression`; by default a regression for floating-point targets.
        node_names, class_names: names of the nodes and classes; by default those of the graph.
        split: for a networkx graph, the node attribute that holds `train`, `val`, `test` or nothing.
        sizes: part sizes of random splits, as for `depthlab.data.splits.random_split`.

    Raises:
        UserError: the graph has no features or targets, or an array is invalid.
    """
    from torch_geometric.data import Data

    given = {"x": x, "y": y, "train": train, "val": val, "test": test, "edge_weight": edge_weight}
    if isinstance(graph, Data):
        arrays = data_arrays(graph, given)
    elif hasattr(graph, "nodes") and hasattr(graph, "edges"):
        arrays = networkx_arrays(graph, given, split)
        node_names = [str(node) for node in graph.nodes] if node_names is None else node_names
    elif hasattr(graph, "tocoo"):
        arrays = _scipy_arrays(graph, given)
    elif isinstance(graph, list) and graph and isinstance(graph[0], Data):
        raise UserError(f"got a list of {len(graph)} graphs: use depthlab.data.collect.collect")
    elif isinstance(graph, np.ndarray | Tensor | list | tuple):
        arrays = given | {"edge_index": graph}
    else:
        raise UserError(f"the graph must be {FORMS}, got {type(graph).__name__}")
    if isinstance(arrays["edge_weight"], str):
        arrays["edge_weight"] = None  # none
    raw = from_arrays(arrays, task, node_names, class_names)
    return with_edges(replace(raw, sizes=sizes), directed)


def from_arrays(
    arrays: Mapping[str, Any],
    task: str | None,
    node_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Create a dataset with unprocessed edges.

    Args:
        arrays: `x`, `edge_index`, `y`, and optionally `edge_weight`, `train`, `val`, `test`, as for `to_dataset`.
        task: as for `to_dataset`.
        node_names: names of the nodes.
        class_names: names of the classes 0, 1, ...; by default those in `y`.
    """
    for name, what in (("x", "features of shape (nodes, features)"), ("y", "targets of shape (nodes,)")):
        if arrays.get(name) is None:
            ones = ": for nodes without features use torch.ones(nodes, 1)" if name == "x" else ""
            raise UserError(f"there is no {name}, the {what}{ones}")
    x, y = _array(arrays["x"], "x"), _array(arrays["y"], "y")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2 and len(y) == len(x):
        raise UserError(
            f"y must hold one target for each node, got {y.shape[1]}: choose a column, y[:, 0], or for one-hot"
            " classes use y.argmax(1)"
        )
    task = task or ("regression" if y.dtype.kind == "f" else "classification")
    if task == "classification":
        y, names = encode_labels(y, "y")
        class_names = names if class_names is None else class_names
    checked = {"x": x, "edge_index": _array(arrays["edge_index"], "edge_index"), "y": y}
    masks, notes = _masks(arrays, len(x))
    weight = None if arrays.get("edge_weight") is None else _array(arrays["edge_weight"], "edge_weight")
    dataset = checked_dataset(checked | masks, 0, task, None if weight is None else ("edge_weight", weight))
    classes = None if task == "regression" else _names("class_names", class_names, int(dataset.y.max()) + 1)
    nodes = _names("node_names", node_names, dataset.num_nodes)
    return replace(dataset, node_names=nodes, class_names=classes, notes=notes)


def _names(what: str, names: Sequence[str] | None, count: int) -> list[str] | None:
    if names is not None and len(names) != count:
        raise UserError(f"{what} must hold {count} names, got {len(names)}")
    return None if names is None else [str(name) for name in names]


def data_arrays(data: Any, given: Mapping[str, Any], setting: str = "edge_weight") -> Arrays:
    """The arrays of a PyG `Data`.

    Args:
        given: arrays that override its own; `edge_weight` may be the name of an attribute, or `none`.
        setting: name of the setting for `edge_weight`, for errors.

    Raises:
        UserError: it has no edges, or edge attributes that would be ignored.
    """
    found = {name: data.get(name) for name in ("x", "edge_index", "y")}
    found |= {name: data.get(mask) for mask, name in MASKS.items()}
    if found["edge_index"] is None:
        has = ", ".join(sorted(data.keys())) or "nothing"
        hint = ": save it before the transform ToSparseTensor" if "adj_t" in data else ""
        raise UserError(f"the Data has no edge_index, only {has}{hint}")
    own = {name: value for name, value in given.items() if value is not None and name != "edge_weight"}
    return found | own | {"edge_weight": data_weight(data, given.get("edge_weight"), setting)}


def data_weight(data: Any, wanted: Any, setting: str) -> Any:
    """The edge weights of a PyG `Data`, (m,), or None; `wanted` is `edge_weight` in `data_arrays`.

    Raises:
        UserError: it has edge attributes that would be ignored, or lacks the wanted one.
    """
    if wanted is not None and not isinstance(wanted, str):
        return wanted
    if wanted == "none":
        return None
    attributes = [name for name in data.keys() if name.startswith("edge_") and name != "edge_index"]  # noqa: SIM118
    if wanted in (None, "auto"):
        others = [name for name in attributes if name not in ("edge_weight", "edge_label", "edge_label_index")]
        if others:
            shape = tuple(data[others[0]].shape)
            one = f"{setting}={others[0]} uses its single column as weights, " if shape[1:] in ((), (1,)) else ""
            one += f"{setting}=edge_weight uses those weights, " if "edge_weight" in attributes else ""
            raise UserError(
                f"edge attribute {others[0]} of shape {shape} is not used by default: {one}{setting}=none ignores it"
            )
        if "edge_weight" not in attributes:
            return None
        wanted = "edge_weight"
    if wanted not in attributes:
        raise UserError(
            f"there is no edge attribute {wanted}: {setting} must be one of {', '.join([*attributes, 'none'])}"
        )
    return _one_column(data[wanted], wanted, setting)


def _one_column(weight: Any, name: str, setting: str) -> Any:
    if weight.ndim == 2 and weight.shape[1] == 1:
        return weight[:, 0]
    if weight.ndim != 1:
        raise UserError(
            f"{name} has shape {tuple(weight.shape)}, and a weight is one number for each edge: use {setting}=none to"
            " leave it out, or choose a column as edge_weight of the Data"
        )
    return weight


def _scipy_arrays(matrix: Any, given: Mapping[str, Any]) -> Arrays:
    if matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"the matrix must have shape (nodes, nodes), got {matrix.shape}")
    entries = matrix.tocoo()
    weight = given["edge_weight"]
    if weight is None and not np.all(entries.data == 1):
        weight = entries.data
    return dict(given) | {"edge_index": np.stack([entries.row, entries.col]).astype(np.int64), "edge_weight": weight}


def _masks(arrays: Mapping[str, Any], nodes: int) -> tuple[Arrays, list[str]]:
    """The masks by part name, and notes; no masks if a part is missing."""
    parts = {name: arrays.get(part) for name, part in MASKS.items()}
    missing = [name for name, part in parts.items() if part is None]
    if len(missing) == 3:
        return {}, []
    if missing:
        has = " and ".join(name for name in parts if name not in missing)
        return {}, [f"found {has} but no {' or '.join(missing)}: all splits are drawn at random"]
    masks = {name: _array(part, name) for name, part in parts.items()}
    for name, mask in masks.items():  # PyG uses one column per split
        if mask.dtype == bool and mask.ndim == 2 and len(mask) == nodes:
            masks[name] = np.ascontiguousarray(mask.T)
    splits = max(len(mask) if mask.ndim == 2 else 1 for mask in masks.values())
    for name, mask in masks.items():  # one mask shared by all splits
        if mask.dtype == bool and mask.shape == (nodes,) and splits > 1:
            masks[name] = np.broadcast_to(mask, (splits, nodes)).copy()
    return masks, []


def _array(value: Any, name: str) -> np.ndarray:
    if hasattr(value, "toarray"):
        value = value.toarray()
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.to_dense() if value.layout != torch.strided else value
        value = value.float() if value.dtype == torch.bfloat16 else value
        return np.asarray(value.numpy())
    try:
        return np.asarray(value)
    except ValueError:
        raise UserError(f"{name} must be an array, got rows of unequal length") from None

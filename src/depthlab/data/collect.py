"""Check and concatenate many graphs in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data import Dataset as PygDataset

from depthlab.config.errors import UserError
from depthlab.data.checks import REGRESSION
from depthlab.data.convert import data_weight
from depthlab.data.edges import with_edges
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.sizes import FRACTIONS, Sizes

PARTS = ("train", "val", "test")
NEEDED = {
    "x": "the features of shape (nodes, features): for nodes without features use torch.ones(nodes, 1)",
    "edge_index": "the edges of shape (2, edges): for a graph without edges use torch.empty(2, 0).long()",
    "y": "the target of the graph or of each node",
}


def holds_graphs(content: Any) -> bool:
    """Whether this is a list of PyG graphs, or a dict of such lists."""
    lists = list(content.values()) if isinstance(content, dict) else [content]
    of_graphs = (isinstance(part, list) and all(isinstance(graph, Data) for graph in part) for part in lists)
    return all(of_graphs) and any(lists)


def unpacked(graphs: Any) -> Any:
    """A PyG dataset, or a tuple of graphs, as a list; a dataset of one graph as that graph; all else as it is."""
    if isinstance(graphs, PygDataset):
        return graphs[0] if len(graphs) == 1 else list(graphs)
    return list(graphs) if isinstance(graphs, tuple) and holds_graphs(list(graphs)) else graphs


def collect(
    graphs: Sequence[Any] | Mapping[str, Sequence[Any]],
    *,
    train: Any = None,
    val: Any = None,
    test: Any = None,
    directed: bool = False,
    edge_weight: str | None = None,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    sizes: Sizes = FRACTIONS,
) -> GraphCollection:
    """Concatenate PyG graphs to a collection.

    Args:
        graphs: `Data` with x (n_i, f), edge_index (2, m_i) and y: one target for the graph, or one for each node. Or
            a dict of the lists `train`, `val` and `test` for a fixed split.
        train, val, test: indices of the graphs of each part, or a mask (g,).
        directed: keep the direction of edges.
        edge_weight: name of the attribute with edge weights, by default `edge_weight`; `none` ignores weights.
        task: `classification` or `regression`; by default a regression for floating-point targets.
        class_names: names of the classes 0, 1, ...
        sizes: part sizes of random splits, as for `depthlab.data.splits.random_split`.

    Raises:
        UserError: a graph has no nodes, features, edges or target, or other features than the first one.
    """
    raw = collect_raw(graphs, (train, val, test), edge_weight, task)
    names = None if class_names is None else list(class_names)
    return with_edges(replace(raw, class_names=names, sizes=sizes), directed)


def collect_raw(
    graphs: Sequence[Any] | Mapping[str, Sequence[Any]], parts: Sequence[Any] = (None, None, None),
    edge_weight: str | None = None, task: str | None = None, setting: str = "edge_weight",
) -> GraphCollection:  # fmt: skip
    """As `collect`, but keep the edges unprocessed; errors call `edge_weight` by the name `setting`."""
    if isinstance(graphs, Mapping):
        graphs, parts = join_parts(graphs)
    if not graphs:
        raise UserError("there is no graph: the list is empty")
    x: list[Tensor] = []
    edges: list[Tensor] = []
    y: list[Tensor] = []
    weights: list[Tensor] = []
    nodes: list[int] = []
    for number, graph in enumerate(graphs):
        features, edge_index, target, weight = _check_graph(graph, number, edge_weight, setting)
        if x and features.shape[1] != x[0].shape[1]:
            raise UserError(
                f"graph {number} has {features.shape[1]} features per node, but graph 0 has {x[0].shape[1]}: all graphs"
                " need the same number"
            )
        x.append(features)
        edges.append(edge_index)
        y.append(target)
        nodes.append(len(features))
        weights += [] if weight is None else [weight]
    if 0 < len(weights) < len(graphs):
        raise UserError("some graphs have edge weights and others do not: use edge_weight=none to leave them out")
    ptr = torch.tensor([0, *nodes]).cumsum(0)
    targets = _targets(y, nodes, task)
    shifted = [edge_index + first for edge_index, first in zip(edges, ptr.tolist(), strict=False)]
    made = assemble(torch.cat(x), torch.cat(shifted, 1), ptr, targets, _masks(parts, len(graphs)))
    return replace(made, edge_weight=torch.cat(weights)) if weights else made


def assemble(
    x: Tensor, edge_index: Tensor, ptr: Tensor, y: Tensor, masks: tuple[Tensor, Tensor, Tensor] | None = None
) -> GraphCollection:
    """Create a collection with unprocessed edges from tensors as in `GraphCollection`; check the targets.

    Raises:
        UserError: there is only one class, a class has no graph, or a part of the split has a graph without a target.
    """
    if not y.is_floating_point():
        classes = y[y >= 0].unique()
        if len(classes) < 2:
            raise UserError(f"y must hold two or more classes, got {len(classes)}: there is nothing to classify")
        if int(classes[-1]) != len(classes) - 1:
            gap = int((classes != torch.arange(len(classes))).nonzero()[0])
            raise UserError(f"y has class {int(classes[-1])} but no class {gap}: number classes from 0 without gaps")
    none = torch.empty(0, len(ptr) - 1, dtype=torch.bool)
    made = GraphCollection(x, edge_index, ptr, y, *(masks or (none, none, none)))
    for part, mask in zip(PARTS, masks or (), strict=False):
        if (missing := (mask & ~made.labelled).nonzero()).numel():
            raise UserError(
                f"{part} has graphs without a target, the first is graph {int(missing[0, 1])}: leave them out"
            )
    return made


def join_parts(lists: Mapping[str, Sequence[Any]]) -> tuple[list[Any], list[range]]:
    """All graphs of the lists `train`, `val` and `test`, and the numbers of those in each part.

    Raises:
        UserError: the lists have other names.
    """
    if set(lists) != set(PARTS):
        raise UserError(f"the parts must be named train, val and test, got {', '.join(map(str, lists)) or 'none'}")
    graphs: list[Any] = []
    parts = []
    for part in PARTS:
        parts.append(range(len(graphs), len(graphs) + len(lists[part])))
        graphs += lists[part]
    return graphs, parts


def _check_graph(
    graph: Any, number: int, edge_weight: str | None, setting: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Features float32 (n, f), edges int64 (2, m), targets and weights (m,) of one graph."""
    found = {name: getattr(graph, name, None) for name in ("x", "edge_index", "y")}
    name = f"graph {number}"
    if (getattr(graph, "num_nodes", None) if found["x"] is None else len(found["x"])) == 0:
        raise UserError(f"{name} has no nodes: leave it out")
    for key, what in NEEDED.items():
        if found[key] is None:
            raise UserError(f"{name} has no {key}, {what}")
    try:
        weight = data_weight(graph, edge_weight, setting)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    x, edges, y = (torch.as_tensor(found[key]) for key in ("x", "edge_index", "y"))
    x = x.to_dense().float() if x.layout != torch.strided else x.float()
    if x.dim() != 2 or not x.shape[1]:
        raise UserError(f"x of {name} must have shape (nodes, features), got {tuple(x.shape)}")
    if not x.isfinite().all():
        row = int((~x.isfinite()).any(1).nonzero()[0])
        raise UserError(f"x of {name} must hold finite numbers, got NaN or infinity in row {row}")
    if edges.dim() != 2 or edges.shape[0] != 2 or edges.is_floating_point():
        raise UserError(f"edge_index of {name} must hold integers of shape (2, edges), got {tuple(edges.shape)}")
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < len(x):
        low, high = int(edges.min()), int(edges.max())
        raise UserError(f"edge_index of {name} must hold nodes 0 to {len(x) - 1}, got {low} to {high}")
    if weight is None:
        return x, edges.long(), y, None
    weight = torch.as_tensor(weight).float()
    if weight.shape != edges.shape[1:] or not weight.isfinite().all() or (weight < 0).any():
        raise UserError(f"the edge weights of {name} must be finite numbers of at least 0, one for each edge")
    return x, edges.long(), y, weight


def _targets(y: Sequence[Tensor], sizes: Sequence[int], task: str | None) -> Tensor:
    """The targets of all graphs, or of all nodes."""
    flat = [target.reshape(len(target), -1) if target.dim() else target.reshape(1, 1) for target in y]
    of_nodes = [len(target) == size for target, size in zip(flat, sizes, strict=True)]
    of_graphs = [len(target) == 1 for target in flat]
    if not all(of_graphs) and not all(of_nodes):
        wrong = next((i for i, of in enumerate(of_nodes) if not of and not of_graphs[i]), of_graphs.index(False))
        raise UserError(
            f"y of graph {wrong} has shape {tuple(y[wrong].shape)}: give every graph one target, or each of its"
            f" {sizes[wrong]} nodes one"
        )
    if (columns := max(target.shape[1] for target in flat)) > 1:
        raise UserError(f"y must hold one target for each graph, got {columns}: choose a column, graph.y[:, 0]")
    values = torch.cat([target[:, 0] for target in flat])
    numbers = values.is_floating_point() if task is None else task == "regression"
    if numbers:
        return values.float()
    if values.is_floating_point() and not (values == values.round()).all():
        raise UserError(f"y must hold whole numbers as classes: {REGRESSION}")
    return values.long()


def _masks(parts: Sequence[Any], graphs: int) -> tuple[Tensor, Tensor, Tensor] | None:
    if all(part is None for part in parts):
        return None
    masks = []
    for name, part in zip(PARTS, parts, strict=True):
        if part is None or len(part) == 0:
            raise UserError(f"{name} is empty: every part of a split needs a graph")
        numbers = torch.as_tensor(list(part) if isinstance(part, range) else part)
        if numbers.dtype == torch.bool and numbers.shape != (graphs,):
            raise UserError(f"{name} must be a mask of shape ({graphs},) or graph indices, got {tuple(numbers.shape)}")
        mask = torch.zeros(1, graphs, dtype=torch.bool)
        if numbers.dtype != torch.bool and not 0 <= int(numbers.min()) <= int(numbers.max()) < graphs:
            low, high = int(numbers.min()), int(numbers.max())
            raise UserError(f"{name} must hold graph indices from 0 to {graphs - 1}, got {low} to {high}")
        mask[0, numbers] = True
        masks.append(mask)
    if (torch.cat(masks).sum(0) > 1).any():
        raise UserError("train, val and test share graphs: a graph may be in one part of a split only")
    return masks[0], masks[1], masks[2]

"""The inputs of a network for a graph in memory, with labels if there are any."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch, Data
from torch_geometric.utils import remove_self_loops, to_undirected

from depthlab.api.new_graphs import unlabelled_dataset
from depthlab.config.errors import UserError
from depthlab.data.checks import check_edges
from depthlab.data.collect import holds_graphs, unpacked
from depthlab.data.convert import to_dataset
from depthlab.data.dataset import Dataset
from depthlab.graph.collection_batches import has_target
from depthlab.graph.graph import Graph
from depthlab.tasks.metrics import METRICS, Metric
from depthlab.tasks.task import TASKS


@dataclass(frozen=True)
class Evaluation:
    """Loss and scores of the outputs of a network.

    Attributes:
        metric: the metric of the scores.
        scores: `train_acc` and `val_acc`, or `train_mae` and `val_mae`; no `val_...` without validation nodes.
        train, val: the same numbers; `val` is None without validation nodes.
        chance: the score of the best guess on the training nodes.
        loss: function of the outputs, the loss on the training nodes.
    """

    metric: Metric
    scores: dict[str, float]
    train: float
    val: float | None
    chance: float
    loss: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of a network.

    Attributes:
        x: features, dense (n, f).
        edge_index: (2, m), as passed to the network.
        num_nodes: number of nodes to measure; they come first.
        y: labels (n,), or None; -1 or NaN for an unlabelled node.
        train, val: bool (n,), or None.
        edge_weight, batch: as in a PyG `Data`, or None.
        data: the PyG `Data`, if the input is one.
        prepared: the graph for a `Network`; None to build it from the edges.
        metric: name of the metric; by default `acc` for classes and `mae` for numbers.
    """

    x: Tensor
    edge_index: Tensor
    num_nodes: int
    y: Tensor | None = None
    train: Tensor | None = None
    val: Tensor | None = None
    edge_weight: Tensor | None = None
    batch: Tensor | None = None
    data: Any = None
    prepared: Graph | None = None
    metric: str | None = None

    def to(self, device: torch.device) -> "Inputs":
        """A copy on a device; its features take part in the autograd graph."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        x, edge_index = self.x.to(device).clone().requires_grad_(), self.edge_index.to(device)
        data = None
        if self.data is not None:
            data = self.data.clone().to(device)
            data.x = x
        weight, batch = moved(self.edge_weight), moved(self.batch)
        return replace(self, x=x, edge_index=edge_index, edge_weight=weight, batch=batch, data=data)

    @property
    def undirected(self) -> Tensor:
        """The edges for the measures, (2, m): both directions of each, without self-loops."""
        if self.prepared is not None:
            return self.prepared.undirected_edges
        return to_undirected(remove_self_loops(self.edge_index)[0], num_nodes=self.num_nodes)

    def graph(self) -> Graph:
        """The graph for a `Network`."""
        if self.prepared is not None:
            return self.prepared
        with torch.no_grad():
            dataset = unlabelled_dataset(Data(x=self.x, edge_index=self.edge_index, edge_weight=self.edge_weight))
            return dataset.graph("public").to(self.x.device)

    def call(self, model: nn.Module) -> Tensor:
        """Call any module and return its output.

        Raises:
            UserError: it cannot be called with these inputs, or its output has not one row for each node or graph.
        """
        kind, parameters = type(model).__name__, inspect.signature(model.forward).parameters
        takes = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        extra = {"edge_weight": self.edge_weight, "batch": self.batch}
        known = {name: value for name, value in extra.items() if name in parameters and value is not None}
        try:
            if len(takes) == 1 and "x" not in takes:
                output = model(Data(x=self.x, edge_index=self.edge_index, **known) if self.data is None else self.data)
            else:
                output = model(self.x, self.edge_index, **known)
        except UserError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            given = f"x {tuple(self.x.shape)}, edge_index {tuple(self.edge_index.shape)}"
            raise UserError(
                f"{kind} cannot be called as forward(x, edge_index) with {given}: {reason}; give a module with"
                f" forward(x, edge_index), its own is forward({', '.join(parameters)})"
            ) from error
        output = output[0] if isinstance(output, list | tuple) else output
        rows = self.num_nodes if self.batch is None else int(self.batch.max()) + 1
        if not isinstance(output, Tensor) or output.dim() == 0 or len(output) not in (rows, self.num_nodes):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            what = "node" if self.batch is None else "graph"
            raise UserError(f"{kind} must return one row for each of the {rows} {what}s, got {shape}")
        return output

    def evaluate(self, output: Tensor) -> Evaluation | None:
        """Score outputs (n, channels) or (n,); None if there is not one label for each row.

        Raises:
            UserError: there are more classes than channels, or no training node has a label.
        """
        if self.y is None or self.y.dim() > 1 or len(self.y) != len(output):
            return None
        y, numbers = self.y, self.y.is_floating_point()
        labelled = has_target(y)
        train = labelled if self.train is None else self.train & labelled
        val = None if self.val is None else self.val & labelled
        if not train.any():
            raise UserError("no training node has a label: leave y or train_mask out of the data, or correct them")
        output = _channels(output, numbers)
        if not numbers and (most := int(y[labelled].max())) >= output.shape[1]:
            raise UserError(f"the network returns {output.shape[1]} channels, but the labels contain class {most}")
        kind = TASKS["regression" if numbers else "classification"]
        name = self.metric or kind.usual[0]
        task = kind(name, (name,), 1 if numbers else output.shape[1])
        metric = METRICS[name]
        score = float(metric.function(output[train], y[train]))
        score_val = float(metric.function(output[val], y[val])) if val is not None and val.any() else None
        scores = {f"train_{name}": score} | ({} if score_val is None else {f"val_{name}": score_val})

        def loss(out: Tensor) -> Tensor:
            kept, target = _channels(out, numbers)[train.to(out.device)], y[train].to(out.device)
            return task.loss(kept[:, : task.outputs], target)

        return Evaluation(metric, scores, score, score_val, metric.chance(y[train]), loss)


def _channels(output: Tensor, numbers: bool) -> Tensor:
    """Outputs (n, channels). A single channel for two classes is the logit of class 1."""
    output = output.view(len(output), -1)
    return output if numbers or output.shape[1] > 1 else F.pad(output, (1, 0))


def make_inputs(data: Any) -> Inputs:
    """The inputs for a PyG `Data`, which is not changed, a list of them as one batch, or a graph for `to_dataset`.

    Raises:
        UserError: it is not a graph with edges and finite features, or the graphs do not fit together.
    """
    data = unpacked(data)
    if isinstance(data, list) and holds_graphs(data):
        return _checked(_from_data(_batch(data)))
    if isinstance(data, Data):
        return _checked(_from_data(data))
    dataset = data if isinstance(data, Dataset) else to_dataset(data)
    train, val = (mask[0] if len(mask) else None for mask in (dataset.train, dataset.val))
    weight = dataset.edge_weight
    return Inputs(dataset.x, dataset.edge_index, dataset.num_nodes, dataset.y, train, val, edge_weight=weight)


def _checked(inputs: Inputs) -> Inputs:
    """Raise UserError if measures on these inputs would be undefined."""
    check_edges("edge_index", inputs.edge_index.cpu().numpy(), 0, len(inputs.x), "x")
    if len(wrong := (~inputs.x.isfinite()).nonzero()):
        row, column = wrong[0].tolist()
        raise UserError(
            f"x must hold finite numbers, got {float(inputs.x[row, column])} in row {row}, column {column}: replace NaN"
            " and infinity"
        )
    return inputs


def _batch(graphs: list[Data]) -> Data:
    for number, graph in enumerate(graphs):
        try:
            _from_data(graph)
        except UserError as error:
            raise UserError(f"graph {number}: {error}") from None
    try:
        return Batch.from_data_list(graphs)
    except Exception as error:  # other attributes or other shapes: PyG has no common error
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the {len(graphs)} graphs do not fit in a batch: give all the same attributes and number of features"
            f" ({reason})"
        ) from None


def _from_data(data: Data) -> Inputs:
    for name, shape in (("x", "features (nodes, features)"), ("edge_index", "edges (2, edges)")):
        if not isinstance(data.get(name), Tensor):
            raise UserError(f"the Data has no {name}, the {shape}, only {', '.join(sorted(data.keys())) or 'nothing'}")
    x = data.x.to_dense() if data.x.layout != torch.strided else data.x
    y = data.y if isinstance(data.get("y"), Tensor) else None
    y = y.view(-1) if y is not None and y.dim() == 2 and y.shape[1] == 1 else y
    train, val = (_first(data.get(name)) for name in ("train_mask", "val_mask"))
    return Inputs(x.float(), data.edge_index, len(x), y, train, val, data.get("edge_weight"), data.get("batch"), data)


def _first(mask: Any) -> Tensor | None:
    """The mask (n,) of the first split; PyG has a column for each."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        return None
    return mask if mask.dim() == 1 else mask[:, 0]

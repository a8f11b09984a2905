"""`dl.load`: load a trained network from its record or its checkpoint."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from depthlab.api.contexts import preserve_random_numbers, user_errors
from depthlab.api.inputs import Inputs
from depthlab.api.new_graphs import like_training, read_new
from depthlab.api.prediction import Prediction
from depthlab.api.weights import read_weights
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.config.settings import from_dict, to_dict
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.rewire import check_rewirable, make_batches, make_edges
from depthlab.graph.batches import Batches
from depthlab.graph.graph import Graph
from depthlab.graph.mini_batches import MiniBatches
from depthlab.measures.layers import layer_measures
from depthlab.measures.registry import check_by_layer, selectable
from depthlab.nn.execution import states
from depthlab.nn.network import Network
from depthlab.ops import SparseFeatures
from depthlab.tasks.task import TASKS, recorded_metrics
from depthlab.training.build import make_network
from depthlab.training.experiment import read_data
from depthlab.training.module import TrainingModule


def load(source: str | os.PathLike[str], uri: str | None = None) -> "TrainedNetwork":
    """Load the network of a run with the weights that were tested.

    Its settings are read from the checkpoint: neither the command line nor the data of the run are needed. Nothing is
    unpickled.

    Args:
        source: ID of a run that stores its weights (the default), the path of its `final.ckpt`, or the folder with it.
        uri: tracking store of the run; by default `MLFLOW_TRACKING_URI`, else `mlflow.db` in the current folder.

    Raises:
        UserError: there is no such run or file, it has no weights, or its architecture has changed.
    """
    with user_errors():
        return restore_network(read_weights(source, uri))


def restore_network(content: dict[str, Any]) -> "TrainedNetwork":
    """The network of a checkpoint.

    Args:
        content: as `depthlab.training.result.final_checkpoint` returns it, perhaps of an earlier version.

    Raises:
        UserError: the architecture does not exist, or has other weights.
    """
    settings = from_dict(content["config"], content.get("options", {}), compose_settings(["recipe=none"]))
    inputs, outputs = content.get("inputs"), content.get("outputs")
    if inputs is None or outputs is None:  # an earlier version did not store them
        data = read_data(settings)
        inputs, outputs = data.graph.x.shape[1], data.task(settings).outputs
    with preserve_random_numbers():
        network = make_network(settings, inputs, outputs)
    task = TASKS[settings.dataset.task](
        settings.dataset.metric, recorded_metrics(settings.dataset, settings.metrics), outputs
    )
    module = TrainingModule(network, task, inputs, settings.hidden)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights do not fit {settings.model.target}, which was changed after the run: use the version of the"
            f" run ({reason})"
        ) from None
    network.depth = content.get("depth", network.depth)  # counted in a forward pass for an external module
    module.eval()
    return TrainedNetwork(module, settings, content)


class TrainedNetwork:
    """A trained network.

    Attributes:
        network: the `depthlab.nn.network.Network`, in evaluation mode.
        settings: all settings of the run, nested.
        run_id: ID of the run; empty if unknown.
        is_trained: whether it is trained; None if unknown.
        gradients: norm of the loss's gradient with respect to each state, before the first step and after the first
            epoch; empty for a run of an earlier version.
    """

    def __init__(
        self, module: TrainingModule, settings: Settings, content: dict[str, Any], is_trained: bool | None = True
    ) -> None:
        self.module, self._settings, self.is_trained = module, settings, is_trained
        self.network: Network = module.network
        self.settings: dict[str, Any] = to_dict(settings)
        self.run_id = str(content.get("run_id", ""))
        self.gradients: dict[str, list[float]] = content.get("gradients", {})
        self._unit_rows: bool | None = content.get("unit_rows")
        self._class_names: list[str] | None = content.get("class_names")
        self._data_hash: str | None = content.get("data_hash")

    @torch.no_grad()
    def predict(self, data: Any = None) -> Prediction:
        """Predict in evaluation mode, with all edges.

        Args:
            data: None for the run's own dataset, or another graph: a PyG `Data` (x (n, f), edge_index (2, m); targets
                and masks are not read), a networkx graph with features, or a `Dataset`; for a run on many graphs a
                `Data` or a list of them. Edges are treated as in training: made undirected unless the run kept their
                direction, and rewired if the run was. If the run's dataset has `normalize_features`, each row of x is
                divided by its sum, as in training.

        Returns:
            Outputs, probabilities and classes of the nodes, in the order of the data; of a dataset of many graphs, of
            the graphs.

        Raises:
            UserError: the data cannot be read, or their features are not like those of the training; or the run's
                dataset has changed since.
        """
        with user_errors():
            dataset, batches = self._data(data)
            kind = "numbers" not in self.module.task.targets
            names = self._class_names if kind else None
            if isinstance(dataset, Dataset):
                (graph,) = batches.all_parts
                output = self.module.infer(graph)[: dataset.num_nodes]
                return Prediction(output, kind, dataset.node_names, names)
            assert isinstance(batches, MiniBatches)
            if isinstance(dataset, GraphCollection) and dataset.has_node_targets:
                return Prediction(
                    _graph_outputs(self.module, batches, dataset.num_graphs, nodes=True), kind, None, names
                )
            return Prediction(_graph_outputs(self.module, batches, dataset.num_graphs), kind, None, names, "graph")

    def read(self, path: str) -> Any:
        """New data for `predict` from a file, or from a folder of tables if the run was trained on such.

        Raises:
            UserError: as `depthlab.api.new_graphs.read_new`.
        """
        with user_errors():
            return read_new(path, self._settings.dataset)

    @torch.no_grad()
    def states(self, data: Any = None) -> list[Tensor]:
        """The node states by layer, from the input of the first layer to the output of the last; tensors (n, channels).

        Args:
            data: as for `predict`, many graphs side by side; of a run's own many graphs, or of its graph in parts
                (loader=cluster), the nodes of a batch are read.

        Raises:
            UserError: as `predict`, or the graph is too large to be kept in memory.
        """
        with user_errors():
            graph = self._graph(data)
            seen = states(self.network, graph.x, graph.layers)
            dense = [x.to_dense() if isinstance(x, SparseFeatures) else x for x in seen]
            return [x[: graph.num_nodes].clone() for x in dense]

    def measure(self, data: Any = None, measures: Sequence[str] | None = None) -> dict[str, list[float]]:
        """Compute the measures by layer, as a run records them.

        Args:
            data: as for `states`.
            measures: names of measures by layer (`dl.measures.MEASURES`); by default those of the run.

        Returns:
            The values of each measure from layer 0, the input of the first layer, to the depth.

        Raises:
            UserError: as `states`, or there is no such measure.
        """
        known = selectable("layer")
        names = [name for name in self._settings.measures if name in known] if measures is None else list(measures)
        check_by_layer(names)
        with user_errors(), torch.no_grad():
            graph = self._graph(data)
            seen = states(self.network, graph.x, graph.layers)
            return layer_measures(seen, graph.undirected_edges, names, graph.num_nodes)

    def inputs(self, data: Any = None) -> Inputs:
        """The inputs of the network and the labels; `data` as for `predict`."""
        graph, has_many = self._graph(data), self._settings.dataset.has_many_graphs
        x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x
        inputs = Inputs(x, graph.edge_index, graph.num_nodes, prepared=graph, metric=self.module.task.metric)
        if data is not None or has_many:  # of many graphs, those that are measured are no training graphs
            return inputs
        masks = torch.zeros(2, graph.num_nodes, dtype=torch.bool)
        masks[0, graph.train], masks[1, graph.val] = True, True
        return replace(inputs, y=graph.y[: graph.num_nodes], train=masks[0], val=masks[1])

    def _graph(self, data: Any) -> Graph:
        dataset, batches = self._data(data)
        if data is not None and isinstance(batches, MiniBatches):
            return batches.graph(torch.arange(dataset.num_graphs), "test")
        return batches.probe

    def _data(self, data: Any) -> tuple[Any, Batches]:
        """The dataset, and its graph with the edges that the network propagates over."""
        settings = self._settings
        if data is None:
            own = read_data(settings)
            if self._data_hash not in (None, own.rewired.data_hash):
                raise UserError(
                    f"{settings.dataset.label} has changed since the run: restore it, or give the graph to use as data"
                )
            return own.dataset, own.rewired.batches
        dataset, rewired = like_training(data, settings.dataset, self.module.in_channels, self._unit_rows), None
        if settings.rewiring.target:
            check_rewirable(dataset, settings.rewiring.name)
            rewired = make_edges(dataset, settings.rewiring)
        # nothing is trained: no parts, and a batch of a single node is allowed
        alone = replace(settings, split="0", norm="none", loader=replace(settings.loader, name="full"))
        return dataset, make_batches(alone, dataset, rewired)

    def __repr__(self) -> str:
        settings = self._settings
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        return (
            f"{self._settings.model.label} of {self.network.depth} layers, trained on {settings.dataset.name}:"
            f" {self.module.in_channels} features, {self.module.task.outputs} outputs, {weights:,} weights"
        )


def _graph_outputs(module: TrainingModule, batches: MiniBatches, count: int, nodes: bool = False) -> Tensor:
    """The outputs for all graphs of a dataset in order, or for all their nodes."""
    outputs = []
    for numbers in torch.arange(count).split(batches.batch_size):
        graph = batches.graph(numbers, "test")
        output = module.infer(graph)
        outputs.append(output[: graph.num_nodes] if nodes else module.task.read(output, graph, "test")[0])
    return torch.cat(outputs)

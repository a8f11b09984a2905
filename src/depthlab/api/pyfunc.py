"""The MLflow pyfunc model of a run: a state_dict and the code of this package, so nothing is unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from depthlab.api.load import TrainedNetwork, restore_network
from depthlab.api.weights import read_checkpoint_file
from depthlab.config.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A pyfunc model.

    Args:
        network: a trained network.
    """

    def __init__(self, network: TrainedNetwork) -> None:
        self.network = network

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Predict the classes or values of nodes.

        Args:
            model_input: None for all nodes of the run's own dataset; a table with a column `node` of node indices; or
                a mapping with `x` (n, f), `edge_index` (2, m) and optionally `edge_weight` (m,) for another graph with
                the same features.
            params: not used.

        Returns:
            Columns `node`, `class` and a probability for each class; `node` and `value` for a regression.

        Raises:
            UserError: as `TrainedNetwork.predict`, or the input is none of these.
        """
        if model_input is None:
            return self.network.predict().to_frame()
        if isinstance(model_input, Mapping) and {"x", "edge_index"} <= model_input.keys():
            return self.network.predict(_graph(model_input)).to_frame()
        if not isinstance(model_input, Mapping) and "node" in getattr(model_input, "columns", ()):
            return self.network.predict().to_frame().iloc[np.asarray(model_input["node"])].reset_index(drop=True)
        raise UserError(
            "the input must be None for the run's own dataset, a table with a column node, or a mapping with x (n, f)"
            " and edge_index (2, m)"
        )


def _graph(arrays: Mapping[str, Any]) -> Any:
    import torch
    from torch_geometric.data import Data

    x = torch.as_tensor(np.asarray(arrays["x"]), dtype=torch.float32)
    edge_index = torch.as_tensor(np.asarray(arrays["edge_index"]), dtype=torch.long)
    weight = arrays.get("edge_weight")
    weighted = {} if weight is None else {"edge_weight": torch.as_tensor(np.asarray(weight), dtype=torch.float32)}
    return Data(x=x, edge_index=edge_index, **weighted)


def _load_pyfunc(path: str) -> Model:
    """The entry point of MLflow: load the model of a checkpoint."""
    return Model(restore_network(read_checkpoint_file(Path(path), "the model")))

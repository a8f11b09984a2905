"""From settings to the steps of an epoch and an initialised architecture."""

from typing import Any

import torch
from hydra.utils import get_class

from depthlab.config.errors import UserError
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.base import NodeClassifier, Settings
from depthlab.tasks.task import Task

SHARED = ("depth", "hidden", "dropout", "norm", "lr", "weight_decay", "weight_decay_linear", "memory", "seed")

NO_SEGMENTS = "whose layers cannot be recomputed in segments"


def build_model(settings: dict[str, Any], graph: Graph, task: Task) -> NodeClassifier:
    """The architecture of `settings["model"]`, initialised from `seed`.

    Raises:
        UserError: the architecture cannot work like this.
    """
    model = initialise(settings, graph.x.shape[1], task.outputs)
    model.task = task
    if settings["norm"] != "none" and not model.has_norms:
        name = settings["model"]["_target_"].rsplit(".", 1)[-1]
        raise UserError(f"norm={settings['norm']} has no place in {name}, which norms nothing: use norm=none")
    if settings["memory"] == "checkpoint" and not model.can_checkpoint:
        raise UserError(f"memory=checkpoint has no place in {type(model).__name__}, {NO_SEGMENTS}: use memory=full")
    model.check(graph)
    return model


def initialise(settings: dict[str, Any], in_channels: int, out_channels: int) -> NodeClassifier:
    """The architecture with fresh weights, whether or not it can work on a graph."""
    shared = Settings(
        in_channels=in_channels,
        out_channels=out_channels,
        drop_edge=DropEdge(settings["p_drop"], **settings["drop_edge"]),
        **{key: settings[key] for key in SHARED},
    )
    knobs = {key: value for key, value in settings["model"].items() if key != "_target_"}
    torch.manual_seed(settings["seed"])
    model: NodeClassifier = get_class(settings["model"]["_target_"])(shared, **knobs)
    return model

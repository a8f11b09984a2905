"""From settings to an initialised network and the module that trains it."""

import inspect
from typing import Any

import torch
from hydra.utils import get_class

from depthlab.config.errors import UserError
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.network import Network
from depthlab.ops import MaskSource
from depthlab.tasks.task import Task
from depthlab.training.module import TrainingModule

NEUTRAL = {"dropout": (0.0, "which drops nothing"), "norm": ("none", "which norms nothing")}


def build_model(settings: dict[str, Any], graph: Graph, task: Task) -> TrainingModule:
    """The architecture of `settings["model"]`, initialised from `seed`, with what trains and scores it.

    Raises:
        UserError: the architecture cannot work like this.
    """
    in_channels = graph.x.shape[1]
    network = make_network(settings, in_channels, task.outputs)
    drop_edge = DropEdge(settings["p_drop"], **settings["drop_edge"])
    network.check(graph, drop_edge)
    same = {key: settings[key] for key in ("hidden", "lr", "weight_decay", "weight_decay_linear", "memory")}
    return TrainingModule(network, task, in_channels, drop_edge=drop_edge, **same)


def make_network(settings: dict[str, Any], in_channels: int, out_channels: int) -> Network:
    """The architecture with fresh weights, whether or not it can work on a graph.

    Raises:
        UserError: it is no `Network`, or a setting has no place in it.
    """
    arguments = dict(settings["model"])
    target = arguments.pop("_target_")
    kind, name = get_class(target), target.rpartition(".")[-1]
    if not issubclass(kind, Network):
        raise UserError(f"model._target_={target} is no network: derive it from depthlab.nn.network.Network")
    shared = {"in_channels": in_channels, "out_channels": out_channels}
    shared |= {key: settings[key] for key in ("depth", "hidden", "dropout", "norm")}
    known = accepted(kind)
    for key, (neutral, why) in NEUTRAL.items():
        if key not in known and settings[key] != neutral:
            raise UserError(f"{key}={settings[key]} has no place in {name}, {why}: use {key}={neutral}")
    torch.manual_seed(settings["seed"])
    network = kind(**{key: value for key, value in shared.items() if key in known}, **arguments)
    network.masks = MaskSource(settings["seed"])
    return network


def accepted(kind: type) -> set[str]:
    """Names of the constructor's arguments, with those that it passes on to the next class."""
    names = set[str]()
    for base in kind.__mro__:
        if "__init__" in base.__dict__:
            parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            names |= {parameter.name for parameter in parameters}
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names

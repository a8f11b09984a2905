"""Build an initialised network, and the module that trains it, from settings."""

import inspect

import torch
from hydra.utils import get_class

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.network import Network
from depthlab.ops import MaskSource
from depthlab.tasks.task import Task
from depthlab.training.module import TrainingModule

PASSED = ("hidden", "lr", "weight_decay", "weight_decay_linear", "memory", "optimizer", "lr_scheduler", "monitor")
NEUTRAL = {"dropout": 0.0, "norm": "none"}  # values that every architecture accepts


def build_model(settings: Settings, graph: Graph, task: Task) -> TrainingModule:
    """The training module of `settings.model`, initialised from `seed`.

    Raises:
        UserError: the architecture does not support these settings.
    """
    in_channels = graph.x.shape[1]
    network = make_network(settings, in_channels, task.outputs)
    drop_edge = DropEdge(settings.p_drop, settings.drop_edge.mode, settings.drop_edge.per_layer)
    network.check(graph, drop_edge)
    same = {key: getattr(settings, key) for key in PASSED}
    module = TrainingModule(network, task, in_channels, drop_edge=drop_edge, **same)
    module.configure_optimizers()  # raises errors of wrong arguments before anything is recorded
    return module


def make_network(settings: Settings, in_channels: int, out_channels: int) -> Network:
    """The network with fresh weights, without checking it on a graph.

    Raises:
        UserError: it is not a `Network`, or it does not support a setting.
    """
    target = settings.model.target
    kind = get_class(target)
    name = settings.model.label if settings.model.module else target.rpartition(".")[-1]
    if not issubclass(kind, Network):
        raise UserError(f"model._target_={target} is not a network: derive the class from depthlab.nn.network.Network")
    shared = {"in_channels": in_channels, "out_channels": out_channels}
    shared |= {key: getattr(settings, key) for key in ("depth", "hidden", "dropout", "norm")}
    known = accepted(kind)
    for key, neutral in NEUTRAL.items():
        if key not in known and getattr(settings, key) != neutral:
            raise UserError(f"{name} does not support {key}={getattr(settings, key)}: use {key}={neutral}")
    if twice := sorted(shared.keys() & settings.model.arguments.keys()):
        raise UserError(f"{name} is given {', '.join(twice)} by the program: leave it out of the yaml of the model")
    arguments = {key: value for key, value in shared.items() if key in known} | dict(settings.model.arguments)
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise UserError(f"{name} {error}: let the yaml of the model name the arguments of its constructor") from error
    torch.manual_seed(settings.seed)
    try:
        network = kind(**arguments)
    except TypeError as error:  # the constructor passes the argument on
        if settings.model.module or "unexpected keyword argument" not in str(error):
            raise
        raise UserError(f"{name} cannot be built, {error}: correct the yaml of the model") from error
    network.masks = MaskSource(settings.seed)
    return network


def accepted(kind: type) -> set[str]:
    """Names of the constructor's arguments, including those that it passes to its base class."""
    names = set[str]()
    for base in kind.__mro__:
        if "__init__" in base.__dict__:
            parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            names |= {parameter.name for parameter in parameters}
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names

"""Construct an external module from the settings."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from depthlab.config.errors import UserError, lacks_memory
from depthlab.config.modules import describe_error, label, load
from depthlab.nn.network import Network
from depthlab.nn.probe import ERRORS


def construct(
    target: str, values: Mapping[str, Any], args: Mapping[str, Any], names: Mapping[str, Sequence[str]]
) -> tuple[nn.Module, dict[str, str]]:
    """Construct the module; also return the name of the constructor argument for each setting.

    Args:
        values: values of the settings.
        args: further constructor arguments.
        names: possible argument names for each setting.

    Raises:
        UserError: the target is not a module class, or the arguments do not fit its constructor.
    """
    kind, name = load(target), label(target)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise UserError(f"model.target={target} is not a class of torch.nn.Module: name one that is")
    if issubclass(kind, Network):
        raise UserError(
            f"{name} is an architecture of depthlab: write conf/model/NAME.yaml with _target_, not model=module"
        )
    parameters = inspect.signature(kind).parameters
    named = {key: found for key in values if (found := next((n for n in names.get(key, ()) if n in parameters), None))}
    if values["dropout"] and "dropout" not in named:
        raise UserError(
            f"{name} has no argument for dropout={values['dropout']}: use dropout=0, or name it in model.names.dropout"
        )
    for key, argument in named.items():
        if argument in args:
            raise UserError(f"{name} gets {argument} from the setting {key}: leave model.args.{argument} out")
    arguments = {argument: values[key] for key, argument in named.items()} | dict(args)
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        known = ", ".join(parameter for parameter in parameters if parameter not in named.values())
        raise UserError(
            f"{name} {error}: its arguments besides {', '.join(named.values())} are {known or 'none'}; give them as"
            " model.args.NAME=VALUE, or as names of settings in model.names"
        ) from error
    try:
        return kind(**arguments), named
    except ERRORS as error:
        if lacks_memory(error):
            raise
        given = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise UserError(f"{name}({given}) cannot be built: {describe_error(error, target)}") from error


def takes_weights(module: nn.Module, name: str) -> bool:
    """Whether forward takes and uses `edge_weight`.

    Raises:
        UserError: forward cannot be called as `forward(x, edge_index)`.
    """
    signature = inspect.signature(module.forward)
    try:
        signature.bind(None, None)
    except TypeError:
        given = ", ".join(signature.parameters)
        raise UserError(
            f"{name} has forward({given}), but networks are called as forward(x, edge_index[, edge_weight]): write a"
            " wrapper class with this signature"
        ) from None
    return "edge_weight" in signature.parameters and getattr(module, "supports_edge_weight", True) is not False

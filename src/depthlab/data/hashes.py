"""Hashes of data, from the files and settings that shape a graph. Imports nothing heavy."""

import ast
import inspect
from dataclasses import replace
from typing import Any

from depthlab.config.closure import digest, locate
from depthlab.config.option_types import DatasetSettings
from depthlab.config.schema import Settings
from depthlab.config.settings import option_dict
from depthlab.data.raw import raw_hashes


def data_hash(settings: DatasetSettings) -> str:
    """Hash of the raw files and settings that shape the graph; does not read the raw files of named datasets.

    Raises:
        UserError: a file of the user's own is missing; for a dataset that is hashed by its tensors, as its reader.
    """
    if settings.hash_tensors:
        from depthlab.data.prepare import load

        return load(settings)[1]
    shaping = [raw_hashes(settings), settings.target, arguments(settings), bool(settings.normalize_features)]
    return digest([*shaping, "directed"] if settings.directed else shaping)


def rewired_hash(data_hash: str, settings: Settings) -> str:
    """Hash of the data and of the rewiring's settings; without a rewiring, the data hash itself."""
    if settings.rewiring.name == "none":
        return data_hash
    shaping = option_dict("rewiring", replace(settings.rewiring, layers=None))
    return digest([data_hash, shaping])


def arguments(settings: DatasetSettings) -> dict[str, Any]:
    """Arguments of the reader: the settings of its dataset's yaml, and task and name if it has these parameters."""
    parameters = _parameters(str(settings.target))
    others = {name: getattr(settings, name) for name in ("task", "name") if name in parameters}
    return dict(settings.arguments) | others


def _parameters(target: str) -> set[str]:
    """Names of the parameters of a function, read from its source; it is imported if it is not defined there."""
    module, _, name = target.rpartition(".")
    path = locate(module)
    for node in ast.parse(path.read_bytes()).body if path else ():
        if isinstance(node, ast.FunctionDef) and node.name == name and not node.decorator_list:
            given = node.args
            return {argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    from hydra.utils import get_method

    return set(inspect.signature(get_method(target)).parameters)

"""Build the network that the settings describe, with weights from a file or newly initialised."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depthlab.api.load import TrainedNetwork
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data.raw import check
from depthlab.files import unreadable
from depthlab.nn.module import ModuleNetwork
from depthlab.training.experiment import experiment

SAVE = "save torch.save(network.state_dict(), FILE)"


def configured_network(words: Sequence[str]) -> TrainedNetwork:
    """The network and the data for a command line.

    Args:
        words: settings of `depthlab train`; `ckpt` is a file with a state_dict. Without it the weights are newly
            initialised.

    Raises:
        UserError: a setting is invalid, or the weights cannot be read or do not fit the network.
    """
    settings = compose_settings(list(words))
    check(settings.dataset)
    made = experiment(settings)
    network = made.module.network
    if settings.ckpt is not None:
        path = Path(settings.ckpt)
        if not path.is_file():
            raise UserError(
                f"there is no file {path}: ckpt must be a file with weights, or leave it out to initialise them"
            )
        into = network.module if isinstance(network, ModuleNetwork) else network
        _load(into, path)
    made.module.eval()
    return TrainedNetwork(made.module, settings, {}, is_trained=None)


def _load(network: nn.Module, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the protocol of a refused pickle
            content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a pickle, a truncated file, other bytes: torch has no common error
        raise unreadable(path, error, f"is not a file of tensors: {SAVE}") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} holds no state_dict: {SAVE}")
    own = network.state_dict()
    weights = {_shortened(name, own): value for name, value in content.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).partition("\n\t")[2].split())[:200]
        raise UserError(
            f"the weights in {path} do not fit {type(network).__name__} with these settings: {reason}"
        ) from None


def _shortened(name: str, known: dict[str, Any]) -> str:
    """The name without a prefix such as `model.`, which Lightning checkpoints add."""
    parts = name.split(".")
    tails = (".".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in known), name)

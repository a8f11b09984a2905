"""Initial weights are distinguished from trained ones."""

import pytest
import torch
from torch import nn

from depthlab.api.initial_weights import has_initial_weights
from depthlab.config.compose import compose_settings
from depthlab.config.files import option_names
from depthlab.training.build import make_network


@pytest.mark.parametrize("model", [name for name in option_names("model") if name != "module"])
def test_architectures_have_initial_weights_until_a_training_step(model: str) -> None:
    settings = compose_settings([f"model={model}", "depth=4", "hidden=16"])
    network = make_network(settings, 50, 3)
    assert has_initial_weights(network) is True
    with torch.no_grad():
        next(parameter for parameter in network.parameters() if parameter.numel() >= 32).mul_(0.5)
    assert has_initial_weights(network) is False


def test_without_large_matrices_the_result_is_none() -> None:
    assert has_initial_weights(nn.Linear(3, 2)) is None
    assert has_initial_weights(nn.ReLU()) is None

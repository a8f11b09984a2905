from typing import Any

import pytest
import torch

from depthlab.graph.graph import Graph
from depthlab.nn.residual_gcn import ResidualGCN

BIAS = pytest.mark.parametrize("bias", [False, True])


def make(settings: Any, depth: int, bias: bool, dropout: float = 0.0) -> ResidualGCN:
    torch.manual_seed(depth)
    model = ResidualGCN(**settings(depth, dropout=dropout), bias=bias).double()
    for parameter in model.biases or []:
        torch.nn.init.normal_(parameter)
    return model


@BIAS
def test_silent_hidden_layers_pass_the_first_state_on(bias: bool, settings: Any, graph: Graph) -> None:
    deep, shallow = make(settings, 6, bias), make(settings, 2, bias)
    with torch.no_grad():
        for layer in range(1, 5):
            deep.weights[layer].zero_()
            if deep.biases is not None:
                deep.biases[layer].fill_(-1)
        shallow.load_state_dict(
            {name.replace(".5", ".1"): value for name, value in deep.state_dict().items() if name[-1] in "05"}
        )
    torch.testing.assert_close(deep(graph.x, graph.adjacency), shallow(graph.x, graph.adjacency))

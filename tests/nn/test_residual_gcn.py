from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.graph import Graph
from depthlab.nn.residual_gcn import ResidualGCN

DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
BIAS = pytest.mark.parametrize("bias", [False, True])


def make(settings: Any, depth: int, bias: bool, dropout: float = 0.0) -> ResidualGCN:
    torch.manual_seed(depth)
    model = ResidualGCN(**settings(depth, dropout=dropout), bias=bias).double()
    for parameter in model.biases or []:
        torch.nn.init.normal_(parameter)
    return model


def dense(model: Any, h: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    for layer, weight in enumerate(model.weights, start=1):
        z = p @ drop(h) @ weight
        if model.biases is not None:
            z = z + model.biases[layer - 1]
        if layer < len(model.weights):
            h = F.relu(z) if layer == 1 else F.relu(z) + h
    return z


@BIAS
@DEPTH
def test_logits_and_gradients_equal_pyg_layers_with_residuals(
    depth: int, bias: bool, settings: Any, graph: Graph, pyg_convolutions: Any, assert_same_as_layers: Any
) -> None:
    model, h = make(settings, depth, bias), graph.x
    convolutions = pyg_convolutions(model)
    for layer, convolution in enumerate(convolutions, start=1):
        z = convolution(h, graph.edge_index)
        h = z if layer == depth else z.relu() if layer == 1 else z.relu() + h
    assert isinstance(h, Tensor)
    assert_same_as_layers(model, convolutions, h)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.6])
@BIAS
@DEPTH
def test_training_equals_the_dense_equation_under_the_same_masks(
    depth: int, bias: bool, p: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings, depth, bias, dropout=p), dense)


@pytest.mark.parametrize("p", [0.0, 0.4])
@BIAS
@DEPTH
def test_a_linear_skip_equals_its_dense_equation(
    depth: int, bias: bool, p: float, settings: Any, assert_same_as_dense: Any
) -> None:
    def linear(model: Any, h: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
        for layer, (weight, own) in enumerate(zip(model.weights, model.own, strict=True), start=1):
            dropped = drop(h)
            z = p @ dropped @ weight + dropped @ own
            if model.biases is not None:
                z = z + model.biases[layer - 1]
            h = F.relu(z) if layer < len(model.weights) else z
        return h

    torch.manual_seed(depth)
    assert_same_as_dense(ResidualGCN(**settings(depth, dropout=p), bias=bias, skip="linear").double(), linear)


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

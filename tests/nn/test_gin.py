from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GINConv

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.gin import GIN
from depthlab.tasks.task import Classification
from depthlab.training.module import TrainingModule
from tests.nn.conftest import CLASSES, FEATURES, HIDDEN

TASK = Classification("acc", ("acc",), 3)
DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
LEARN = pytest.mark.parametrize("learn", [False, True])


def make(settings: Any, learn: bool = False, epsilon: float = 0.3) -> GIN:
    torch.manual_seed(settings["depth"])
    model = GIN(**settings, epsilon=epsilon, learn_epsilon=learn).double()
    for bias in model.biases:
        nn.init.normal_(bias)
    return model


def seconds(model: GIN) -> list[Any]:
    return list(model.second)


def pyg_layers(model: GIN) -> list[Any]:
    layers = []
    for weight, bias, second in zip(model.first, model.biases, seconds(model), strict=True):
        both: list[Any] = [nn.Linear(*linear.shape) for linear in (weight, second.weight)]
        epsilon, learned = model.epsilon[0].item(), model.epsilon.requires_grad
        layers.append(GINConv(nn.Sequential(both[0], nn.ReLU(), both[1]), epsilon, train_eps=learned).double())
        with torch.no_grad():  # after GINConv has initialised them
            for linear, values in zip(both, ((weight, bias), (second.weight, second.bias)), strict=True):
                linear.weight.copy_(values[0].T)
                linear.bias.copy_(values[1])
    return layers


@LEARN
@DEPTH
def test_logits_and_gradients_equal_a_stack_of_pyg_layers(depth: int, learn: bool, settings: Any, graph: Graph) -> None:
    model, h = make(settings(depth), learn), graph.x
    layers = pyg_layers(model)
    assert isinstance(h, Tensor)
    for number, layer in enumerate(layers, start=1):
        h = layer(h, graph.edge_index)
        h = h.relu() if number < depth else h
    logits = model(graph.x, graph.adjacency)
    torch.testing.assert_close(logits, h)
    F.cross_entropy(logits, graph.y).backward()
    F.cross_entropy(h, graph.y).backward()
    for number, layer in enumerate(layers):
        first, _, second = layer.nn
        torch.testing.assert_close(model.first[number].grad, first.weight.grad.T)
        torch.testing.assert_close(model.biases[number].grad, first.bias.grad)
        torch.testing.assert_close(seconds(model)[number].weight.grad, second.weight.grad.T)
        torch.testing.assert_close(seconds(model)[number].bias.grad, second.bias.grad)
    if learn:
        assert model.epsilon.grad is not None
        theirs = torch.cat([layer.eps.grad for layer in layers])
        torch.testing.assert_close(model.epsilon.grad, theirs, check_dtype=False)


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    pattern, identity = (p != 0).double(), torch.eye(len(p), dtype=torch.float64)  # with self-loops
    for layer, (weight, bias, second) in enumerate(zip(model.first, model.biases, model.second, strict=True), start=1):
        summing = pattern + model.epsilon[layer - 1] * identity
        x = F.relu(summing @ drop(x) @ weight + bias) @ second.weight + second.bias
        x = F.relu(x) if layer < model.depth else x
    return x


@pytest.mark.parametrize("p", [0.3, 0.6])
@DEPTH
def test_training_equals_the_dense_equation_under_the_same_masks(
    depth: int, p: float, settings: Any, assert_same_as_dense: Any
) -> None:
    assert_same_as_dense(make(settings(depth, dropout=p), learn=True), dense)


def test_a_star_counts_its_leaves(settings: Any) -> None:
    """Ones everywhere: a mean cannot tell hub from leaf, a sum can."""
    model = make(settings(1), epsilon=0.0)
    edges = torch.tensor([[1, 2, 3], [0, 0, 0]])
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), 4)
    x = torch.ones(4, FEATURES, dtype=torch.float64)
    hub, *leaves = model(x, adjacency.with_values(adjacency.values.double()))
    perceptron = pyg_layers(model)[0].nn
    torch.testing.assert_close(hub, perceptron(4 * x[0]))
    torch.testing.assert_close(leaves, [perceptron(2 * x[0])] * 3)


def test_sizes_and_states(settings: Any, graph: Graph) -> None:
    model = make(settings(3))
    logits, seen = model(graph.x, graph.adjacency), list(states(model, graph.x, graph.adjacency))
    shapes = [tuple(state.shape) for state in seen]
    nodes = len(graph.y)
    assert shapes == [(nodes, FEATURES), (nodes, HIDDEN), (nodes, HIDDEN), (nodes, CLASSES)]
    assert torch.equal(seen[3], logits)


def test_epsilon_is_learned_where_asked_and_never_decays(settings: Any) -> None:
    assert not make(settings(2)).epsilon.requires_grad
    model = make(settings(2), learn=True)
    groups = TrainingModule(model, TASK, FEATURES, HIDDEN, weight_decay=0.1).configure_optimizers().param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(model.epsilon)] == 0 and decay[id(model.first[0])] == 0.1


def test_weighted_edges_are_refused(settings: Any, graph: Graph) -> None:
    model = make(settings(2))
    with pytest.raises(UserError, match=r"^drop_edge\.mode=rescale weighs edges, GIN counts them: use"):
        model.check(graph, DropEdge(0.5, "rescale"))
    model.check(graph, DropEdge(0.5))

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.nn.linear import Linear
from depthlab.nn.mlp import MLP
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3
DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
X = torch.randn(N, FEATURES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(N) % CLASSES
ADJACENCY = gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), N)


def make_model(depth: int, dropout: float = 0.0) -> MLP:
    torch.manual_seed(depth)
    return MLP(FEATURES, CLASSES, depth, hidden=HIDDEN, dropout=dropout).double()


def dense_pass(model: MLP, drop: Callable[[Tensor], Tensor]) -> Tensor:
    h = X
    for layer, linear in enumerate(model.layers, start=1):
        assert isinstance(linear, Linear)
        z = drop(h) @ linear.weight + linear.bias
        h = z if layer == len(model.layers) else F.relu(z)
    return h


def gradients(model: MLP, logits: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(logits, Y), list(model.parameters())))


@DEPTH
def test_logits_and_gradients_equal_a_stack_of_torch_layers(depth: int) -> None:
    model = make_model(depth)
    stack = nn.Sequential()
    for layer, linear in enumerate(model.layers, start=1):
        assert isinstance(linear, Linear)
        plain = nn.Linear(linear.weight.shape[0], linear.weight.shape[1]).double()
        plain.load_state_dict({"weight": linear.weight.T, "bias": linear.bias})
        stack.extend([plain] if layer == depth else [plain, nn.ReLU()])
    logits, expected = model(X, ADJACENCY), stack(X)
    torch.testing.assert_close(logits, expected)
    theirs = torch.autograd.grad(F.cross_entropy(expected, Y), list(stack.parameters()))
    torch.testing.assert_close(gradients(model, logits), [g.T if g.dim() == 2 else g for g in theirs])


@pytest.mark.parametrize("p", [0.3, 0.6])
@DEPTH
def test_training_equals_the_dense_equation_under_the_same_masks(depth: int, p: float) -> None:
    model, masks, (threshold, scale) = make_model(depth, dropout=p), MaskSource(0), draw_threshold(p)

    def drop(h: Tensor) -> Tensor:
        return h * (masks.bits(tuple(h.shape), h.device) > threshold) * scale

    logits, expected = model(X, ADJACENCY), dense_pass(model, drop)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(gradients(model, logits), gradients(model, expected))


@DEPTH
def test_the_graph_is_not_read(depth: int) -> None:
    model = make_model(depth)
    edgeless = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), N)
    broken = ADJACENCY.with_values(torch.full_like(ADJACENCY.values, float("nan")))
    assert torch.equal(model(X, ADJACENCY), model(X, edgeless))
    assert torch.equal(model(X, ADJACENCY), model(X, broken))

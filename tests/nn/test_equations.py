"""Every architecture against its equation, written with dense float64 matrices, and against PyG's own layers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric import nn as pyg
from torch_geometric.utils import scatter

from depthlab.nn.acmp import ACMP
from depthlab.nn.adgn import ADGN
from depthlab.nn.appnp import APPNP
from depthlab.nn.diffusion import Diffusion
from depthlab.nn.execution import run
from depthlab.nn.fagcn import FAGCN
from depthlab.nn.g2 import G2
from depthlab.nn.gat import GAT
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.gin import GIN
from depthlab.nn.gprgnn import GPRGNN
from depthlab.nn.graphcon import GraphCON
from depthlab.nn.jknet import JKNet
from depthlab.nn.mlp import MLP
from depthlab.nn.network import Network
from depthlab.nn.residual_gcn import ResidualGCN
from depthlab.nn.revgcn import RevGCN
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold
from depthlab.tasks.task import Classification
from depthlab.training.build import accepted
from depthlab.training.module import TrainingModule
from tests.nn.conftest import CLASSES, FEATURES, HIDDEN, N, small_graph

Drop = Callable[[Tensor], Tensor]
Equation = Callable[[Any, Tensor, Tensor, Drop], list[Tensor]]  # (model, X, P, drop) -> all states, and the logits
Layers = Callable[[Any, Tensor, Tensor], Tensor]  # (model, X, edge_index) -> logits by PyG's layers
GRAPH = small_graph()
TASK = Classification("acc", ("acc",), CLASSES)


def linear(layer: Any, x: Tensor) -> Tensor:
    return x @ layer.weight + layer.bias


def biased(model: Any, number: int) -> Any:
    return 0 if model.biases is None else model.biases[number]


def neighbours(p: Tensor) -> Tensor:
    """A of P."""
    return ((p != 0) & ~torch.eye(len(p), dtype=torch.bool)).double()


# Equations -----------------------------------------------------------------------------------------------------------


def gcn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [drop(x)]
    for number, weight in enumerate(model.weights):
        z = p @ states[-1] @ weight + biased(model, number)
        states.append(z if number == model.depth - 1 else drop(F.relu(model.norms[number](z))))
    return [*states, states[-1]]


def residual_gcn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [x]
    for number, weight in enumerate(model.weights):
        h = drop(states[-1])
        z = p @ h @ weight + biased(model, number) + (0 if model.own is None else h @ model.own[number])
        new = F.relu(model.norms[number](z)) if number < model.depth - 1 else z
        skips = model.own is None and 0 < number < model.depth - 1
        states.append(new + states[-1] if skips else new)
    return [*states, states[-1]]


def mlp(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [drop(x)]
    for number, layer in enumerate(model.layers):
        z = linear(layer, states[-1])
        states.append(z if number == model.depth - 1 else drop(F.relu(model.norms[number](z))))
    return [*states, states[-1]]


def jknet(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [drop(x)]
    for number, weight in enumerate(model.weights):
        states.append(drop(F.relu(model.norms[number](p @ states[-1] @ weight))))
    jump = torch.cat(states[1:], 1) if model.mode == "cat" else torch.stack(states[1:]).amax(0)
    return [*states, linear(model.decoder, jump)]


def gcnii(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    one, first = torch.eye(HIDDEN, dtype=torch.float64), F.relu(linear(model.encoder, drop(x)))
    states = [drop(first)]
    for number in range(model.depth):
        beta = model.beta[number]
        both = model.weights if model.star_weights is None else model.star_weights
        weight, star = ((1 - beta) * one + beta * weights[number] for weights in (model.weights, both))
        z = (1 - model.alpha) * p @ states[-1] @ weight + model.alpha * first @ star
        states.append(drop(F.relu(model.norms[number](z))))
    return [*states, linear(model.decoder, states[-1])]


def perceptron(model: Any, x: Tensor, drop: Drop) -> Tensor:
    first, second = model.encoder
    return linear(second, drop(F.relu(linear(first, drop(x)))))


def appnp(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [perceptron(model, x, drop)]
    for _ in range(model.depth):
        states.append((1 - model.alpha) * p @ states[-1] + model.alpha * states[0])
    return [*states, states[-1]]


def gprgnn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    z = drop(perceptron(model, x, drop))
    states = [torch.linalg.matrix_power(p, k) @ z for k in range(model.depth + 1)]
    return [*states, torch.einsum("k,knc->nc", model.gamma, torch.stack(states))]


def gat(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [x]
    for number, weight in enumerate(model.weights):
        h = (drop(states[-1]) @ weight).unflatten(1, model.receiver[number].shape)
        to, sent = ((h * ends[number]).sum(2) for ends in (model.receiver, model.sender))
        scores = F.leaky_relu(to.unsqueeze(1) + sent, 0.2).masked_fill((p == 0).unsqueeze(2), -torch.inf)
        z = torch.einsum("ijh,jhc->ihc", scores.softmax(1), h).flatten(1) + model.biases[number]
        states.append(z if number == model.depth - 1 else F.elu(model.norms[number](z)))
    return [*states, states[-1]]


def gin(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [drop(x)]
    for number, second in enumerate(model.second):
        h = (1 + model.epsilon[number]) * states[-1] + neighbours(p) @ states[-1]
        z = linear(second, F.relu(h @ model.first[number] + model.biases[number]))
        states.append(z if number == model.depth - 1 else drop(F.relu(model.norms[number](z))))
    return [*states, states[-1]]


def adgn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    own = (model.weight - model.weight.T - model.gamma * torch.eye(HIDDEN, dtype=torch.float64)).T
    states = [linear(model.encoder, drop(x))]
    for _ in range(model.depth):
        h = states[-1]
        states.append(h + model.epsilon * torch.tanh(h @ own + p @ h @ model.neighbour_weight + model.bias))
    return [*states, linear(model.decoder, drop(states[-1]))]


def graphcon(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states = [linear(model.encoder, drop(x))]
    velocity = states[0]
    for weight, bias in zip(model.weights, model.biases, strict=True):
        force = F.relu(p @ states[-1] @ weight + bias) - model.gamma * states[-1] - model.alpha * velocity
        velocity = velocity + model.dt * force
        states.append(states[-1] + model.dt * velocity)
    return [*states, linear(model.decoder, drop(states[-1]))]


def fagcn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    a = neighbours(p)
    root = a.sum(1).pow(-0.5).where(a.sum(1) > 0, 0)
    states = [drop(F.relu(linear(model.encoder, drop(x))))]
    for gate in model.gates:
        coefficient = torch.tanh(states[-1] @ gate[:, :1] + (states[-1] @ gate[:, 1:]).T)
        states.append(model.epsilon * states[0] + (a * coefficient * root * root[:, None]) @ states[-1])
    return [*states, linear(model.decoder, drop(states[-1]))]


def pairs(model: Any) -> list[tuple[Tensor, Tensor]]:
    both = list(zip(model.weights, model.gates, strict=True))
    return both * model.depth if model.shared else both


def g2(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    mean = neighbours(p) / neighbours(p).sum(1, keepdim=True).clamp_min(1)
    states = [F.relu(linear(model.encoder, drop(x)))]
    for weight, gate in pairs(model):
        h = F.relu(p @ states[-1] @ gate)
        tau = torch.tanh(torch.einsum("ij,ijc->ic", mean, (h - h[:, None]).abs() ** 2))
        states.append((1 - tau) * states[-1] + tau * F.relu(p @ states[-1] @ weight))
    return [*states, linear(model.decoder, drop(states[-1]))]


def revgcn(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states, norms = [linear(model.encoder, drop(x))], iter(model.norms)
    shared = drop(torch.ones_like(states[0])).chunk(model.groups, 1)
    for weights in model.weights:
        parts = list(states[-1].chunk(model.groups, 1))
        entering = torch.stack(parts[1:]).sum(0)
        for i, weight in enumerate(weights):
            entering = parts[i] = p @ (next(norms)(entering).relu() * shared[i]) @ weight + parts[i]
        states.append(torch.cat(parts, 1))
    return [*states, linear(model.decoder, drop(model.last_norm(states[-1]).relu()))]


def diffusion(model: Any, x: Tensor, p: Tensor, drop: Drop) -> list[Tensor]:
    states, adjacency, step = [linear(model.encoder, drop(x))], GRAPH.adjacency, model.step_size
    a = p
    if model.attention is not None:
        a = torch.zeros_like(p).index_put((adjacency.row, adjacency.col), model.attention(states[0], adjacency))
    operator = a - torch.diag((a.sum(1) > 0).double())
    for _ in range(model.depth):
        h = states[-1]
        k1 = step * operator @ h
        if model.solver == "rk4":  # the 3/8 rule, which torchdiffeq calls rk4
            k2 = step * operator @ (h + k1 / 3)
            k3 = step * operator @ (h + k2 - k1 / 3)
            k4 = step * operator @ (h + k1 - k2 + k3)
            k1 = (k1 + 3 * k2 + 3 * k3 + k4) / 8
        states.append(h + k1)
    return [*states, linear(model.decoder, drop(F.relu(states[-1])))]


# PyG -----------------------------------------------------------------------------------------------------------------


def convolution(weight: Tensor, bias: Tensor | None, x: Tensor, edges: Tensor) -> Tensor:
    layer = pyg.GCNConv(*weight.shape, bias=bias is not None).double()
    layer.lin.weight.data = weight.T
    if bias is not None:
        layer.bias.data = bias
    out: Tensor = layer(x, edges)
    return out


def pyg_gcn(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    """Also with residuals."""
    for number, weight in enumerate(model.weights):
        z = convolution(weight, None if model.biases is None else model.biases[number], x, edges)
        h = z if number == model.depth - 1 else z.relu()
        x = h + x if isinstance(model, ResidualGCN) and 0 < number < model.depth - 1 else h
    return x


def pyg_jknet(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    states = [x]
    for weight in model.weights:
        states.append(convolution(weight, None, states[-1], edges).relu())
    return linear(model.decoder, pyg.JumpingKnowledge(model.mode)(states[1:]))


def pyg_gcnii(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    h0 = h = linear(model.encoder, x).relu()
    for number, weight in enumerate(model.weights):
        strength = {"theta": 0.7, "layer": number + 1} if model.beta[0] != 1 else {}
        star = model.star_weights is not None
        layer = pyg.GCN2Conv(HIDDEN, alpha=model.alpha, shared_weights=not star, **strength).double()
        layer.weight1.data = weight
        if star:
            layer.weight2.data = model.star_weights[number]
        h = layer(h, h0, edges).relu()
    return linear(model.decoder, h)


def pyg_appnp(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    out: Tensor = pyg.APPNP(model.depth, model.alpha)(perceptron(model, x, lambda h: h), edges)
    return out


def pyg_gat(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    for number, weight in enumerate(model.weights):
        heads, width = model.receiver[number].shape
        layer = pyg.GATConv(weight.shape[0], width, heads=heads).double()
        layer.lin.weight.data, layer.bias.data = weight.T, model.biases[number]
        layer.att_dst.data, layer.att_src.data = model.receiver[number][None], model.sender[number][None]
        x = layer(x, edges)
        x = x if number == model.depth - 1 else F.elu(x)
    return x


def torch_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(*weight.shape).double()
    layer.weight.data, layer.bias.data = weight.T, bias
    return layer


def pyg_gin(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    for number, second in enumerate(model.second):
        layer = pyg.GINConv(nn.Sequential(nn.Identity()), float(model.epsilon[number].detach())).double()
        first = torch_linear(model.first[number], model.biases[number])
        layer.nn = nn.Sequential(first, nn.ReLU(), torch_linear(second.weight, second.bias))
        x = layer(x, edges)
        x = x if number == model.depth - 1 else x.relu()
    return x


def pyg_adgn(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    phi = pyg.GCNConv(HIDDEN, HIDDEN, bias=False)
    steps = {"num_iters": model.depth, "epsilon": model.epsilon, "gamma": model.gamma}
    layer = pyg.AntiSymmetricConv(HIDDEN, phi, **steps).double()
    layer.W.data, layer.bias.data, phi.lin.weight.data = model.weight, model.bias, model.neighbour_weight.T
    return linear(model.decoder, layer(linear(model.encoder, x), edges))


def pyg_graphcon(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    x = y = linear(model.encoder, x)
    for weight, bias in zip(model.weights, model.biases, strict=True):
        y = y + model.dt * (convolution(weight, bias, x, edges).relu() - model.gamma * x - model.alpha * y)
        x = x + model.dt * y
    return linear(model.decoder, x)


def pyg_fagcn(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    h = h0 = linear(model.encoder, x).relu()
    for gate in model.gates:
        layer = pyg.FAConv(HIDDEN, eps=model.epsilon, add_self_loops=False).double()
        layer.att_r.weight.data, layer.att_l.weight.data = gate[None, :, 0], gate[None, :, 1]
        h = layer(h, h0, edges)
    return linear(model.decoder, h)


def pyg_g2(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    x, (source, target) = linear(model.encoder, x).relu(), edges
    for weight, gate in pairs(model):
        h = convolution(gate, None, x, edges).relu()
        tau = scatter((h[source] - h[target]).square(), target, dim_size=N, reduce="mean").tanh()
        x = (1 - tau) * x + tau * convolution(weight, None, x, edges).relu()
    return linear(model.decoder, x)


def pyg_mlp(model: Any, x: Tensor, edges: Tensor) -> Tensor:
    for number, layer in enumerate(model.layers):
        x = torch_linear(layer.weight, layer.bias)(x)
        x = x if number == model.depth - 1 else x.relu()
    return x


# Tests ---------------------------------------------------------------------------------------------------------------

NORMS = [{"norm": norm} for norm in ("batch", "layer", "pair")]
STARS = [{"star": star, "identity_map": identity} for star in (False, True) for identity in (False, True)]
FLOWS = [{"weights": weights, "solver": solver} for weights in ("gcn", "attention") for solver in ("euler", "rk4")]
TABLE: list[tuple[type[Network], Equation, Layers | None, list[dict[str, Any]]]] = [
    (ADGN, adgn, pyg_adgn, [{}, {"epsilon": 0.7, "gamma": 0.0}, {"epsilon": 1.0, "gamma": 0.5}]),
    (APPNP, appnp, pyg_appnp, [{"alpha": alpha} for alpha in (0.0, 0.2, 1.0)]),
    (Diffusion, diffusion, None, [{"heads": 2, **flow} for flow in FLOWS]),
    (FAGCN, fagcn, pyg_fagcn, [{"epsilon": epsilon} for epsilon in (0.0, 0.3, 1.0)]),
    (G2, g2, pyg_g2, [{"shared": True}, {"shared": False}]),
    (GAT, gat, pyg_gat, [{"heads": heads} for heads in (1, 2, 8)]),  # 8 are more than the hidden channels
    (GCN, gcn, pyg_gcn, [{"bias": False}, {"bias": True}]),
    (GCNII, gcnii, pyg_gcnii, [{"alpha": 0.2, "theta": 0.7, **star} for star in STARS]),
    (GIN, gin, pyg_gin, [{"epsilon": 0.3}, {"epsilon": 0.3, "learn_epsilon": True}]),
    (GPRGNN, gprgnn, None, [{}]),
    (GraphCON, graphcon, pyg_graphcon,
     [{}, {"dt": 0.3, "gamma": 0.7, "alpha": 0.2}, {"gamma": 0.0}, {"alpha": 0.0}]),
    (JKNet, jknet, pyg_jknet, [{"mode": "cat"}, {"mode": "max"}]),
    (MLP, mlp, pyg_mlp, [{}]),
    (ResidualGCN, residual_gcn, pyg_gcn, [{"bias": False}, {"bias": True}]),
    (ResidualGCN, residual_gcn, None, [{"skip": "linear", "bias": bias} for bias in (False, True)]),
    (RevGCN, revgcn, None, [{"groups": 2}, {"groups": 3}]),
]  # fmt: skip
CASES = [(kind, equation, layers, given) for kind, equation, layers, options in TABLE for given in options]
NORMED = [
    (kind, equation, layers, {"theta": 0.7, **norm} if kind is GCNII else norm)
    for kind, equation, layers, _ in TABLE
    if "norm" in accepted(kind)
    for norm in NORMS
]


def name(case: Any) -> str:
    return f"{case[0].__name__} {' '.join(f'{key}={value}' for key, value in case[3].items())}".strip()


def make(kind: Any, depth: int, dropout: float, given: dict[str, Any]) -> Any:
    """In float64, with biases and learned vectors that are not 0."""
    torch.manual_seed(depth)
    model = kind(FEATURES, CLASSES, depth, hidden=HIDDEN, dropout=dropout, **given).double()
    for parameter in model.parameters():
        if parameter.dim() == 1 and parameter.requires_grad:
            nn.init.normal_(parameter)
    return model


def check(case: Any, depth: int, dropout: float) -> None:
    """States, logits and gradients in training equal those of the equation under the same masks."""
    kind, equation, _, given = case
    model, masks = make(kind, depth, dropout, given).train(), MaskSource(0)
    threshold, scale = draw_threshold(dropout)

    def drop(h: Tensor) -> Tensor:
        return h * (masks.bits(tuple(h.shape), h.device) > threshold) * scale if dropout else h

    seen: list[Tensor] = []
    out = run(model, GRAPH.x, GRAPH.adjacency, lambda layer, state: seen.append(state))
    assert isinstance(GRAPH.x, Tensor)
    expected = equation(model, GRAPH.x, GRAPH.adjacency.matrix.to_dense(), drop)
    torch.testing.assert_close([*seen, out], expected)
    weights = [p for p in model.parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(F.cross_entropy(z, GRAPH.y), weights) for z in (out, expected[-1]))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("case", CASES, ids=name)
def test_equals_the_dense_equation(case: Any, depth: int, dropout: float) -> None:
    check(case, depth, dropout)


@pytest.mark.parametrize("case", NORMED, ids=name)
def test_norm_stands_between_propagation_and_activation(case: Any) -> None:
    check(case, 3, 0.4)


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("case", [case for case in CASES if case[2]], ids=name)
def test_evaluation_equals_pyg(case: Any, depth: int) -> None:
    kind, _, layers, given = case
    model, x = make(kind, depth, 0.5, given).eval(), GRAPH.x
    expected = layers(model, x, GRAPH.edge_index)
    torch.testing.assert_close(run(model, x, GRAPH.adjacency), expected, rtol=1e-6, atol=1e-6)  # P in float32


@pytest.mark.parametrize(
    ("kind", "given", "decayed"),
    [
        (ACMP, {"learn_repulsion": True}, {0.0: {"repulsion", "raw_alpha", "raw_delta"}}),
        (ACMP, {"weights": "attention"}, {0.0: {"repulsion", "raw_alpha", "raw_delta"}, 0.5: {"attention"}}),
        (GIN, {"learn_epsilon": True}, {0.0: {"epsilon"}, 0.5: {"first", "second", "biases"}}),
        (GPRGNN, {}, {0.0: {"gamma"}}),
        (JKNet, {}, {0.5: {"weights"}}),
    ],
)
def test_scales_and_rates_have_no_weight_decay(kind: Any, given: dict[str, Any], decayed: Any) -> None:
    model, linear_layers = make(kind, 2, 0.0, given), {"encoder", "decoder"}
    module = TrainingModule(model, TASK, FEATURES, HIDDEN, weight_decay=0.5, weight_decay_linear=0.25)
    names = {parameter: name.split(".")[0] for name, parameter in model.named_parameters()}
    groups = module.configure_optimizers().param_groups
    found = {group["weight_decay"]: {names[parameter] for parameter in group["params"]} for group in groups}
    assert found.pop(0.25, set()) == linear_layers & set(names.values())
    assert found == decayed


@pytest.mark.parametrize(("kind", "given"), [(ADGN, {}), (APPNP, {}), (G2, {"shared": True})])
def test_depth_costs_no_weights(kind: Any, given: dict[str, Any]) -> None:
    shallow, deep = (sum(p.numel() for p in make(kind, depth, 0.0, given).parameters()) for depth in (1, 6))
    assert shallow == deep

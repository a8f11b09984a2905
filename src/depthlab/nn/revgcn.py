"""Reversible residual graph convolutions: states are recomputed from the output, none is kept on the way."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State, UserError
from depthlab.nn.norm import make_norm, make_norms
from depthlab.ops import Buffers, MaskSource, full_precision, recomputing


class RevGCN(Network):
    r"""Grouped reversible residual network of Li, Mueller, Ghanem & Koltun 2021, https://arxiv.org/abs/2106.07476, on
    graph convolutions.

    The channels of a state are split into C groups :math:`X_1, \dots, X_C`; a layer is

    .. math:: X'_0 = \sum_{i=2}^{C} X_i, \qquad X'_i = f_i(X'_{i-1}) + X_i, \qquad
        f_i(X) = P\, \mathrm{drop}(\mathrm{relu}(\mathrm{norm}(X)))\, W_i

    and its inverse is :math:`X_i = X'_i - f_i(X'_{i-1})` for i = C..2, then 1. The backward pass recovers the input of
    each layer from its output, so one state is stored at any depth, for the time of about one more forward pass. As in
    the paper, all layers share one dropout mask. An encoder comes first; norm, relu and dropout precede the decoder:

    .. math:: X^{(0)} = \mathrm{drop}(X) W_{in} + b, \qquad
        \mathrm{logits} = \mathrm{drop}(\mathrm{relu}(\mathrm{norm}(X^{(L)}))) W_{out} + b'

    The norm is set by `norm` (the paper always uses one: without it, states grow exponentially with depth). The inverse
    is exact up to rounding errors, which accumulate over layers. If states are observed, they are stored as in any
    other network.

    Args:
        groups: C >= 2; each has hidden / C channels (at least 1).

    Raises:
        UserError: fewer than two groups.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, groups * (hidden // groups)), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", groups: int = 2,
    ) -> None:  # fmt: skip
        if groups < 2:
            raise UserError(f"a reversible layer needs two groups or more, got {groups}: use model.groups=2")
        super().__init__(depth, dropout)
        width = max(1, hidden // groups)
        self.groups = groups
        self.encoder = Linear(in_channels, groups * width)
        self.decoder = Linear(groups * width, out_channels)
        # One tensor for all layers: Adam is then one operation, not one per layer.
        weights = torch.stack([glorot(width, width).detach() for _ in range(depth * groups)])
        self.weights = nn.Parameter(weights.view(depth, groups, width, width))
        self.norms = make_norms(norm, depth * groups, width)
        self.last_norm = make_norm(norm, groups * width)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        """The first state; in training also a mask of its shape, by which dropout multiplies it in every layer."""
        h = self.encoder(self.dropout(x))
        return ((h, self.dropout(torch.ones_like(h))) if self.training and self.p_dropout else (h,)), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h, *masks = state
        parts = _groups(self._functions(number, masks), h, self.weights[number], graph)
        return (torch.cat(parts, 1), *masks)

    def decode(self, state: State) -> Tensor:
        return self.decoder(self.relu_dropout(self.last_norm(state[0])))

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """The reversible pass; `every` is ignored, because the backward pass recovers the states."""
        (h, *masks), graph = self.encode(x, graph)
        outputs = _Outputs(self.depth)
        for number, weights in enumerate(self.weights.unbind(0)):
            functions = self._functions(number, masks)
            layer = _Layer(number, graph, functions, self.masks, self.masks.state(), Buffers(functions.norms))
            h = _Reversible.apply(layer, outputs, h, weights, *functions.norms.parameters())
        outputs.last = h.detach()
        return self.decode((h,))

    def _functions(self, number: int, masks: list[Tensor]) -> "_Functions":
        """f_1..f_C of one layer."""
        norms = self.norms[number * self.groups : (number + 1) * self.groups]
        return _Functions(norms, list(masks[0].chunk(self.groups, 1)) if masks else None)


@dataclass
class _Functions:
    """f_1..f_C of one layer, called in the forward pass and again in the backward pass."""

    norms: nn.ModuleList
    masks: list[Tensor] | None

    @full_precision  # because states are recovered by subtraction
    def __call__(self, group: int, graph: Adjacency, x: Tensor, weight: Tensor) -> Tensor:
        h = torch.relu(self.norms[group](x))
        return graph.propagate(h if self.masks is None else h * self.masks[group], weight)


def _groups(functions: _Functions, x: Tensor, weights: Tensor, graph: Adjacency) -> list[Tensor]:
    """The next state, as its groups of channels."""
    parts = list(x.chunk(len(weights), 1))
    entering = sum(parts[2:], parts[1])
    for group, weight in enumerate(weights):
        entering = parts[group] = functions(group, graph, entering, weight) + parts[group]
    return parts


@dataclass
class _Layer:
    """A layer as the backward pass runs it again; `state` and `buffers` are from before the layer."""

    number: int
    graph: LayerGraphs
    functions: _Functions
    masks: MaskSource
    state: Any
    buffers: Buffers


@dataclass
class _Outputs:
    """The output of the last layer, and that of the layer whose turn is next in the backward pass."""

    depth: int
    last: Tensor | None = None
    known: dict[int, Tensor] = field(default_factory=dict)

    def output(self, layer: int) -> Tensor:
        output = self.last if layer == self.depth - 1 else self.known.pop(layer, None)
        if output is None:
            raise RuntimeError("gradients of a reversible network start at its last state")
        return output


class _Reversible(torch.autograd.Function):
    """One layer, which keeps no tensor but its weights."""

    @staticmethod
    def forward(ctx: Any, layer: _Layer, outputs: _Outputs, x: Tensor, weights: Tensor, *norms: Tensor) -> Tensor:
        ctx.layer, ctx.outputs = layer, outputs
        ctx.save_for_backward(weights)
        return torch.cat(_groups(layer.functions, x, weights, layer.graph.at(layer.number)), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        layer, (weights,) = ctx.layer, ctx.saved_tensors
        parts = list(ctx.outputs.output(layer.number).chunk(len(weights), 1))
        grads, grad_norms = list(grad[0].chunk(len(weights), 1)), list[Tensor]()
        grad_weights = torch.empty_like(weights)
        norms = layer.functions.norms
        with recomputing(layer.masks, layer.state, layer.buffers):
            graph = layer.graph.at(layer.number)
            for group in reversed(range(len(weights))):
                entering = (parts[group - 1] if group else sum(parts[2:], parts[1])).detach().requires_grad_()
                weight, affine = weights[group].detach().requires_grad_(), list(norms[group].parameters())
                with torch.enable_grad():
                    value = layer.functions(group, graph, entering, weight)
                parts[group] = parts[group] - value.detach()
                grad_entering, grad_weights[group], *rest = torch.autograd.grad(
                    value, [entering, weight, *affine], grads[group]
                )
                grad_norms = [*rest, *grad_norms]
                for before in [group - 1] if group else range(1, len(weights)):
                    grads[before] = grads[before] + grad_entering
        ctx.outputs.known[layer.number - 1] = torch.cat(parts, 1)
        return None, None, torch.cat(grads, 1), grad_weights, *grad_norms

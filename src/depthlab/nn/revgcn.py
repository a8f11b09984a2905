"""Reversible residual graph convolutions: states are recomputed from the output, none is kept on the way."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import Adjacency
from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.nn.norm import make_norm
from depthlab.ops import MaskSource, full_precision, propagate, recomputing
from depthlab.ops.masks import draw_threshold


class RevGCN(NodeClassifier):
    r"""Grouped reversible residual network of Li, Mueller, Ghanem & Koltun 2021, https://arxiv.org/abs/2106.07476, on
    graph convolutions.

    The channels of a state are split into C groups :math:`X_1, \dots, X_C`; a layer is

    .. math:: X'_0 = \sum_{i=2}^{C} X_i, \qquad X'_i = f_i(X'_{i-1}) + X_i, \qquad
        f_i(X) = P\, \mathrm{drop}(\mathrm{relu}(\mathrm{norm}(X)))\, W_i

    and its inverse :math:`X_i = X'_i - f_i(X'_{i-1})`, i = C..2 and then 1. The backward pass recovers the input of
    each layer from its output: one state is kept, whatever the depth, for about one more forward pass of time. As in
    the paper all layers share one dropout mask. Around them an encoder, and norm, relu and dropout before a decoder:

    .. math:: X^{(0)} = \mathrm{drop}(X) W_{in} + b, \qquad
        \mathrm{logits} = \mathrm{drop}(\mathrm{relu}(\mathrm{norm}(X^{(L)}))) W_{out} + b'

    The norm is that of `norm` (in the paper never none: without any, states grow exponentially with depth). An inverse
    is exact up to rounding, which adds up over layers. A gradient has to start at the last state, as a loss of the
    logits does.

    Args:
        settings: what every architecture is told.
        groups: C >= 2; each has hidden / C channels (at least 1).

    Raises:
        UserError: fewer than two groups.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, groups * (hidden // groups)), logits (n, out_channels).
    """

    recomputes = True
    can_capture = False  # it keeps places in the stream of masks

    def __init__(self, settings: Settings, groups: int = 2) -> None:
        if groups < 2:
            raise UserError(f"a reversible layer needs two groups or more, got {groups}: use model.groups=2")
        super().__init__(settings)
        width = max(1, settings.hidden // groups)
        channels, depth = groups * width, settings.depth
        self.groups = groups
        self.encoder = Linear(settings.in_channels, channels)
        self.decoder = Linear(channels, settings.out_channels)
        # One tensor for all layers: Adam is then one operation, not one per layer.
        weights = torch.stack([glorot(width, width).detach() for _ in range(depth * groups)])
        self.weights = nn.Parameter(weights.view(depth, groups, width, width))
        self.norms = self.make_norms(depth * groups, width)
        self.last_norm = make_norm(settings.norm, channels)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        h, scale = self.drop(x)
        state = self.encoder(h, scale)
        observe(0, state)
        masks, scale = self._shared_masks(state)
        outputs = _Outputs(self.settings.depth)
        for number, weights in enumerate(self.weights.unbind(0), start=1):
            norms = self.norms[(number - 1) * self.groups : number * self.groups]
            layer = _Layer(number, adjacency, norms, masks, scale, self.masks, self.masks.place())
            state = _Reversible.apply(layer, outputs, state, weights, *norms.parameters())
            observe(number, state)
        outputs.last = state.detach()
        h, scale = self.relu_drop(self.last_norm(state))
        return self.decoder(h, scale)

    def _shared_masks(self, state: Tensor) -> tuple[list[Tensor] | None, float]:
        """The dropout mask of every group, zeros and ones that all layers share, and their scale; None without."""
        if self.p_dropout == 0.0:
            return None, 1.0
        threshold, scale = draw_threshold(self.p_dropout)
        kept = (self.masks.lanes(tuple(state.shape), state.device) > threshold).to(state.dtype)
        return [part.contiguous() for part in kept.chunk(self.groups, 1)], scale


@dataclass
class _Layer:
    """The functions f_1..f_C of one layer, in the forward pass and again in the backward pass."""

    number: int
    adjacency: Adjacencies
    norms: nn.ModuleList
    masks: list[Tensor] | None
    scale: float
    source: MaskSource
    place: Any

    def propagator(self) -> Adjacency:
        return self.adjacency.at(self.number)

    @full_precision  # the state is found again by subtraction
    def function(self, group: int, p: Adjacency, x: Tensor, weight: Tensor) -> Tensor:
        h = torch.relu(self.norms[group](x))
        if self.masks is not None:
            h = h * self.masks[group]
        return propagate(p, h @ weight, scale=self.scale)


@dataclass
class _Outputs:
    """The output of the last layer, and that of the layer whose turn is next in the backward pass."""

    depth: int
    last: Tensor | None = None
    known: dict[int, Tensor] = field(default_factory=dict)

    def of(self, layer: int) -> Tensor:
        found = self.last if layer == self.depth else self.known.pop(layer, None)
        if found is None:
            raise RuntimeError("gradients of a reversible network start at its last state")
        return found


class _Reversible(torch.autograd.Function):
    """One layer, which keeps no tensor but its weights."""

    @staticmethod
    def forward(ctx: Any, layer: _Layer, outputs: _Outputs, x: Tensor, weights: Tensor, *of_norms: Tensor) -> Tensor:
        ctx.layer, ctx.outputs = layer, outputs
        ctx.save_for_backward(weights)
        p, parts = layer.propagator(), list(x.chunk(len(weights), 1))
        entering = sum(parts[2:], parts[1])
        for group, weight in enumerate(weights):
            entering = parts[group] = layer.function(group, p, entering, weight) + parts[group]
        return torch.cat(parts, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        layer, (weights,) = ctx.layer, ctx.saved_tensors
        parts = list(ctx.outputs.of(layer.number).chunk(len(weights), 1))
        grads, of_weights, of_norms = list(grad[0].chunk(len(weights), 1)), torch.empty_like(weights), list[Tensor]()
        with recomputing(layer.source, layer.place, layer.norms):
            p = layer.propagator()
            for group in reversed(range(len(weights))):
                entering = (parts[group - 1] if group else sum(parts[2:], parts[1])).detach().requires_grad_()
                weight, affine = weights[group].detach().requires_grad_(), list(layer.norms[group].parameters())
                with torch.enable_grad():
                    value = layer.function(group, p, entering, weight)
                parts[group] = parts[group] - value.detach()
                of_entering, of_weights[group], *rest = torch.autograd.grad(
                    value, [entering, weight, *affine], grads[group]
                )
                of_norms = [*rest, *of_norms]
                for before in [group - 1] if group else range(1, len(weights)):
                    grads[before] = grads[before] + of_entering
        ctx.outputs.known[layer.number - 1] = torch.cat(parts, 1)
        return None, None, torch.cat(grads, 1), of_weights, *of_norms

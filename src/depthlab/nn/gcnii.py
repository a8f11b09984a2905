"""GCNII: initial residual and identity map."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms
from depthlab.ops import can_compile, compiled_layers, residual_layers


class GCNII(Network):
    r"""GCNII of Chen et al. 2020, https://arxiv.org/abs/2007.02133: every layer gets the initial features again.

    .. math::
        H^{(0)} = \mathrm{relu}(X W_{in} + b_{in}), \qquad
        H^{(l)} = \mathrm{relu}\big( ((1-\alpha) P H^{(l-1)} + \alpha H^{(0)}) ((1-\beta_l) I + \beta_l W_l) \big)

    with :math:`\beta_l = \log(\theta / l + 1)`, l = 1..depth, and logits :math:`H^{(L)} W_{out} + b_{out}`.
    The dropout of the authors: on X, on the input of every convolution (not on the residual) and before the decoder.

    Args:
        alpha: strength of the initial residual, in [0, 1].
        theta: :math:`\theta > 0` of the identity map (the paper's lambda).
        identity_map: without it :math:`\beta_l = 1`, that is relu(((1-alpha) P H + alpha H0) W).
        star: GCNII*, the paper's equation (7) with a weight of its own for each branch, both branches scaled first:
            :math:`(1-\alpha) P H M_l + \alpha H^{(0)} M'_l`. This is PyG's `GCN2Conv(shared_weights=False)`; the
            authors' released code differs, it multiplies the unscaled pair [P H, H0] with the weights.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    beta: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", alpha: float = 0.1, theta: float = 0.5, identity_map: bool = True, star: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.alpha, self.has_norm = alpha, norm != "none"
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        bound = 1 / math.sqrt(hidden)
        # One tensor for all layers: the identity map and Adam are then one operation each, not one per layer.
        self.weights = nn.Parameter(torch.empty(depth, hidden, hidden).uniform_(-bound, bound))
        self.star_weights = nn.Parameter(torch.empty_like(self.weights).uniform_(-bound, bound)) if star else None
        beta = torch.log(theta / torch.arange(1, depth + 1) + 1) if identity_map else torch.ones(depth)
        self.register_buffer("beta", beta.view(depth, 1, 1), persistent=False)
        self.norms = make_norms(norm, depth, hidden)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        first = self.encoder(self.dropout(x)).relu()
        return (self.dropout(first), self.alpha * first), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h, residual = state[0], graph.at_rows(state[1])
        weight = self._maps(self.weights[..., number, :, :], self.beta[number])
        if self.star_weights is None:
            z = graph.propagate(h, scale=1 - self.alpha, residual=residual) @ weight
        else:
            star = self._maps(self.star_weights[..., number, :, :], self.beta[number])
            z = graph.propagate(h, weight, scale=1 - self.alpha, residual=residual @ star)
        return self.relu_dropout(self.norms[number](z)), residual

    def decode(self, state: State) -> Tensor:
        return self.decoder(state[0])

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """All layers as one autograd operation, compiled if possible; None with a norm or a second weight."""
        if self.star_weights is not None or self.has_norm:
            return None
        (h, residual), graph = self.encode(x, graph)
        p = self.p_dropout if self.training else 0.0
        given: Any = {"scale": 1 - self.alpha, "dropout": p, "masks": self.masks, "every": every}
        if can_compile(h, graph):
            h = compiled_layers(
                graph.at, h, depth=self.depth, weights=self.weights, betas=self.beta, residual=residual, **given
            )
        else:
            h = residual_layers(graph.at, h, residual, self._maps(self.weights, self.beta), **given)
        return self.decode((h,))

    def _maps(self, weights: Tensor, beta: Tensor) -> Tensor:
        """(1 - beta_l) I + beta_l W_l, for one layer or all layers."""
        identity = torch.eye(weights.shape[-1], device=weights.device, dtype=weights.dtype)
        return torch.lerp(identity, weights, beta)

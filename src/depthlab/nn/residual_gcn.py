"""GCN with a residual connection around every hidden layer."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, Observer, Settings, ignore
from depthlab.nn.gcn import GCN
from depthlab.nn.linear import glorot
from depthlab.ops import matmul, propagate


class ResidualGCN(GCN):
    r"""Residual GCN (Kipf & Welling 2017, appendix B, https://arxiv.org/abs/1609.02907).

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l) + H^{(l-1)}

    in hidden layers; the first layer (features to hidden) and the last (hidden to classes) have none, since their sizes
    differ. Dropout acts on what enters the convolution, not on the residual. States and shapes as in `GCN`.

    With `skip=linear` a node's own state has weights of its own in every layer, within the norm and relu (the tuned GCN
    of Luo et al. 2024, https://arxiv.org/abs/2406.08993), so that a node can tell itself from its neighbours:

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l + H^{(l-1)} V_l), \qquad
        \mathrm{logits} = P H^{(L-1)} W_L + H^{(L-1)} V_L

    Args:
        settings: what every architecture is told.
        bias: as in `GCN`.
        skip: `identity` or `linear`.
    """

    def __init__(self, settings: Settings, bias: bool = False, skip: str = "identity") -> None:
        super().__init__(settings, bias)
        sizes = [settings.in_channels] + [settings.hidden] * (settings.depth - 1) + [settings.out_channels]
        linear = skip == "linear"
        self.own = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes)) if linear else None

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)

        def step(number: int, state: Any) -> tuple[Tensor]:
            h, scale = self.drop(state)
            z = propagate(adjacency.at(number), matmul(h, self.weights[number - 1]), scale=scale)
            if self.biases is not None:
                z = z + self.biases[number - 1]
            if self.own is not None:
                z = z + matmul(h, self.own[number - 1]) * scale
            if number == self.settings.depth:
                return (z,)
            passed = self.norms[number - 1](z).relu()
            return (passed if number == 1 or self.own is not None else passed + state,)

        logits: Tensor = self.run_layers(step, (x,), observe)[0]
        return logits

    def layer(self, number: int, gathered: Tensor, own: Tensor, first: Tensor) -> Tensor:
        """State `number` of some nodes from their rows of P H and of H."""
        z = gathered @ self.weights[number - 1]
        if self.biases is not None:
            z = z + self.biases[number - 1]
        if self.own is not None:
            z = z + own @ self.own[number - 1]
        if number == self.settings.depth:
            return z
        state = self.norms[number - 1](z).relu()
        return state if number == 1 or self.own is not None else state + own

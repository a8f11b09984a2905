"""Anti-symmetric weights: neither lost nor amplified on the way through depth."""

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import propagate


class ADGN(NodeClassifier):
    r"""Anti-symmetric deep graph network (Gravina, Bacciu & Gallicchio 2023, https://arxiv.org/abs/2210.09789).

    .. math:: X^{(0)} = X W_{in} + b_{in}, \qquad X^{(l)} = X^{(l-1)} + \epsilon \tanh \big(
        X^{(l-1)} (W - W^\top - \gamma I)^\top + P X^{(l-1)} V + b \big)

    The eigenvalues of an anti-symmetric matrix are imaginary: what a node makes of its own state neither grows nor
    dissipates, but for the damping :math:`\gamma` that the explicit step needs. W, V and b are shared by all
    layers. This is PyG's `AntiSymmetricConv`. Dropout acts on X and before the decoder.

    Args:
        settings: what every architecture is told.
        epsilon: step > 0.
        gamma: damping >= 0.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    can_checkpoint = True
    can_replicate = True

    def __init__(self, settings: Settings, epsilon: float = 0.1, gamma: float = 0.1) -> None:
        super().__init__(settings)
        self.epsilon, self.gamma = epsilon, gamma
        hidden = settings.hidden
        self.encoder = Linear(settings.in_channels, hidden)
        self.decoder = Linear(hidden, settings.out_channels)
        self.weight, self.neighbour_weight = glorot(hidden, hidden), glorot(hidden, hidden)
        self.bias = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        identity = torch.eye(self.settings.hidden, device=self.weight.device, dtype=self.weight.dtype)
        both = torch.cat([self.weight.mT - self.weight - self.gamma * identity, self.neighbour_weight], -1)
        h, scale = self.drop(x)
        state = self.encoder(h, scale)
        observe(0, state)

        def layer(number: int, state: Tensor) -> tuple[Tensor]:
            mine, theirs = (state @ both).chunk(2, -1)
            drive = propagate(adjacency.at(number), theirs.contiguous(), residual=mine) + self.bias
            return (torch.add(state, torch.tanh(drive), alpha=self.epsilon),)

        h, scale = self.drop(*self.run_layers(layer, (state,), observe))
        return self.decoder(h, scale)

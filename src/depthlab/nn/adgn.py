"""Anti-symmetric weights: neither lost nor amplified on the way through depth."""

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State


class ADGN(Network):
    r"""Anti-symmetric deep graph network (Gravina, Bacciu & Gallicchio 2023, https://arxiv.org/abs/2210.09789).

    .. math:: X^{(0)} = X W_{in} + b_{in}, \qquad X^{(l)} = X^{(l-1)} + \epsilon \tanh \big(
        X^{(l-1)} (W - W^\top - \gamma I)^\top + P X^{(l-1)} V + b \big)

    The eigenvalues of an anti-symmetric matrix are imaginary: what a node makes of its own state neither grows nor
    dissipates, but for the damping :math:`\gamma` that the explicit step needs. W, V and b are shared by all
    layers. This is PyG's `AntiSymmetricConv`. Dropout acts on X and before the decoder.

    Args:
        epsilon: step > 0.
        gamma: damping >= 0.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        epsilon: float = 0.1, gamma: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.epsilon, self.gamma = epsilon, gamma
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        self.weight, self.neighbour_weight = glorot(hidden, hidden), glorot(hidden, hidden)
        self.bias = nn.Parameter(torch.zeros(hidden))

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.encoder(self.dropout(x)),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h = graph.at_rows(state[0])
        own = h @ (self.weight.mT - self.weight) - self.gamma * h
        drive = graph.propagate(state[0], self.neighbour_weight, residual=own) + self.bias
        return (torch.add(h, torch.tanh(drive), alpha=self.epsilon),)

    def decode(self, state: State) -> Tensor:
        return self.decoder(self.dropout(state[0]))

"""Coupled oscillators: what oscillates does not settle on one value."""

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State


class GraphCON(Network):
    r"""GraphCON-GCN (Rusch, Chamberlain, Rowbottom, Mishra & Bronstein 2022, https://arxiv.org/abs/2202.02296).

    .. math:: Y^{(l)} = Y^{(l-1)} + \Delta t \big( \mathrm{relu}(P X^{(l-1)} W_l + b_l) - \gamma X^{(l-1)}
        - \alpha Y^{(l-1)} \big), \qquad X^{(l)} = X^{(l-1)} + \Delta t\, Y^{(l)}

    a second-order equation :math:`\ddot X = \sigma(P X W) - \gamma X - \alpha \dot X`, stepped explicitly in Y and
    implicitly in X, with :math:`X^{(0)} = Y^{(0)} = \mathrm{drop}(X) W_{in} + b`. Dropout acts on X and
    before the decoder. The authors' code for heterophilic graphs differs: a relu in the encoder, one convolution shared
    by all layers, a learned residual inside the relu, and dropout after every step.

    Args:
        dt: step :math:`\Delta t` > 0.
        gamma: restoring force >= 0.
        alpha: damping >= 0.

    Shapes: x (n, in_channels), adjacency (n, n), states X (n, hidden), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        dt: float = 1.0, gamma: float = 1.0, alpha: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.dt, self.gamma, self.alpha = dt, gamma, alpha
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        self.weights = nn.ParameterList(glorot(hidden, hidden) for _ in range(depth))
        self.biases = nn.ParameterList(torch.zeros(hidden) for _ in range(depth))

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        start = self.encoder(self.dropout(x))
        return (start, start), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        position, velocity = (graph.at_rows(entry) for entry in state)
        force = (graph.propagate(state[0], self.weights[number]) + self.biases[number]).relu()
        velocity = velocity + self.dt * (force - self.gamma * position - self.alpha * velocity)
        return position + self.dt * velocity, velocity

    def decode(self, state: State) -> Tensor:
        return self.decoder(self.dropout(state[0]))

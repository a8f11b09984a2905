"""Coupled oscillators: what oscillates does not settle on one value."""

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import propagate


class GraphCON(NodeClassifier):
    r"""GraphCON-GCN (Rusch, Chamberlain, Rowbottom, Mishra & Bronstein 2022, https://arxiv.org/abs/2202.02296).

    .. math:: Y^{(l)} = Y^{(l-1)} + \Delta t \big( \mathrm{relu}(P X^{(l-1)} W_l + b_l) - \gamma X^{(l-1)}
        - \alpha Y^{(l-1)} \big), \qquad X^{(l)} = X^{(l-1)} + \Delta t\, Y^{(l)}

    a second-order equation :math:`\ddot X = \sigma(P X W) - \gamma X - \alpha \dot X`, stepped explicitly in Y and
    implicitly in X, with :math:`X^{(0)} = Y^{(0)} = \mathrm{drop}(X) W_{in} + b`. Dropout acts on X and
    before the decoder. The authors' code for heterophilic graphs differs: a relu in the encoder, one convolution shared
    by all layers, a learned residual inside the relu, and dropout after every step.

    Args:
        settings: what every architecture is told.
        dt: step :math:`\Delta t` > 0.
        gamma: restoring force >= 0.
        alpha: damping >= 0.

    Shapes: x (n, in_channels), adjacency (n, n), states X (n, hidden), logits (n, out_channels).
    """

    can_checkpoint = True
    can_replicate = True
    states_passed = 2

    def __init__(self, settings: Settings, dt: float = 1.0, gamma: float = 1.0, alpha: float = 1.0) -> None:
        super().__init__(settings)
        self.dt, self.gamma, self.alpha = dt, gamma, alpha
        hidden = settings.hidden
        self.encoder = Linear(settings.in_channels, hidden)
        self.decoder = Linear(hidden, settings.out_channels)
        self.weights = nn.ParameterList(glorot(hidden, hidden) for _ in range(settings.depth))
        self.biases = nn.ParameterList(torch.zeros(hidden) for _ in range(settings.depth))

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        h, scale = self.drop(x)
        start = self.encoder(h, scale)
        observe(0, start)

        def layer(number: int, position: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
            weight, bias = self.weights[number - 1], self.biases[number - 1]
            force = (propagate(adjacency.at(number), position @ weight) + bias).relu()
            velocity = velocity + self.dt * (force - self.gamma * position - self.alpha * velocity)
            return position + self.dt * velocity, velocity

        position, _ = self.run_layers(layer, (start, start), observe)
        h, scale = self.drop(position)
        return self.decoder(h, scale)

"""Every node and channel has a speed of its own, and stops before it is smooth."""

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import Adjacency
from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import propagate


class G2(NodeClassifier):
    r"""Gradient gating on GCN layers (Rusch, Chamberlain, Mahoney, Bronstein & Mishra 2023,
    https://arxiv.org/abs/2210.00513).

    .. math:: X^{(0)} = \mathrm{relu}(X W_{in} + b), \qquad
        X^{(l)} = (1 - \tau) \odot X^{(l-1)} + \tau \odot \mathrm{relu}(P X^{(l-1)} W_l), \qquad
        \tau_i = \tanh \Big( \frac{1}{d_i} \sum_{j \in N(i)} | \hat X_j - \hat X_i |^2 \Big), \qquad
        \hat X = \mathrm{relu}(P X^{(l-1)} \hat W_l)

    Channel-wise: where neighbours have become alike :math:`\tau` is 0 and the state stays. The paper's exponent p is 2
    here: :math:`|a - b|^2` needs two sparse products and no message per edge. Dropout acts on X and before the decoder.
    The convolutions of the authors' code have biases; as in the equation, and in `GCN`, these have none.

    Args:
        settings: what every architecture is told.
        shared: one convolution for all layers, as the authors do; else weights of its own in each.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    can_checkpoint = True

    def __init__(self, settings: Settings, shared: bool = True) -> None:
        super().__init__(settings)
        hidden, self.shared = settings.hidden, shared
        self.encoder = Linear(settings.in_channels, hidden)
        self.decoder = Linear(hidden, settings.out_channels)
        count = 1 if shared else settings.depth
        self.weights, self.gates = (nn.ParameterList(glorot(hidden, hidden) for _ in range(count)) for _ in range(2))

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        h, scale = self.drop(x)
        state = self.encoder(h, scale).relu()
        observe(0, state)

        def layer(number: int, state: Tensor) -> tuple[Tensor]:
            own = 0 if self.shared else number - 1
            both = torch.cat([self.weights[own], self.gates[own]], 1)
            p = adjacency.at(number)
            update, gate = propagate(p, state @ both).relu().chunk(2, 1)
            return (torch.lerp(state, update, gate_speed(p, gate)),)

        h, scale = self.drop(*self.run_layers(layer, (state,), observe))
        return self.decoder(h, scale)


def gate_speed(adjacency: Adjacency, x: Tensor) -> Tensor:
    r""":math:`\tanh` of the mean of :math:`(x_j - x_i)^2` over neighbours j of node i, (n, f); 0 without any."""
    x = x - x.mean(0)  # differences stay; alike states become zeros, which cancel without a rest
    kept = adjacency.neighbours.to(x.dtype)
    degree = adjacency.row_sums(kept)
    mean = adjacency.weighted(kept / degree.clamp_min(1)[adjacency.row])
    of_x, of_square = propagate(mean, torch.cat([x, x * x], 1)).chunk(2, 1)
    lonely = (degree == 0).unsqueeze(1)
    return torch.tanh((of_square - 2 * x * of_x + x * x).clamp_min(0).masked_fill(lonely, 0))

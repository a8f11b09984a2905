"""Every node and channel has a speed of its own, and stops before it is smooth."""

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State


class G2(Network):
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
        shared: one convolution for all layers, as the authors do; else weights of its own in each.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        shared: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.shared = shared
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        count = 1 if shared else depth
        self.weights, self.gates = (nn.ParameterList(glorot(hidden, hidden) for _ in range(count)) for _ in range(2))

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.encoder(self.dropout(x)).relu(),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        own = 0 if self.shared else number
        both = torch.cat([self.weights[own], self.gates[own]], 1)
        update, gate = graph.propagate(state[0], both).relu().chunk(2, 1)
        return (torch.lerp(state[0], update, gate_speed(graph, gate)),)

    def decode(self, state: State) -> Tensor:
        return self.decoder(self.dropout(state[0]))


def gate_speed(graph: Adjacency, x: Tensor) -> Tensor:
    r""":math:`\tanh` of the mean of :math:`(x_j - x_i)^2` over neighbours j of node i, (n, f); 0 without any."""
    x = x - x.mean(0)  # differences stay; alike states become zeros, which cancel without a rest
    present = graph.neighbours.to(x.dtype)
    degree = graph.row_sums(present)
    mean = graph.with_values(present / degree.clamp_min(1)[graph.row])
    mean_of_x, mean_of_square = mean.propagate(torch.cat([x, x * x], 1)).chunk(2, 1)
    lonely = (degree == 0).unsqueeze(1)
    return torch.tanh((mean_of_square - 2 * x * mean_of_x + x * x).clamp_min(0).masked_fill(lonely, 0))

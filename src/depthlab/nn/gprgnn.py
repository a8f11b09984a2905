"""Predict, then propagate with learned weights on the powers of the adjacency: they may become negative."""

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State


class GPRGNN(Network):
    r"""GPR-GNN (Chien, Peng, Li & Milenkovic 2021, https://arxiv.org/abs/2006.07988).

    .. math:: Z^{(0)} = \mathrm{relu}(X W_1 + b_1) W_2 + b_2, \qquad Z^{(l)} = P Z^{(l-1)}, \qquad
        \mathrm{logits} = \sum_{l=0}^{L} \gamma_l Z^{(l)}

    with learned :math:`\gamma`, at the start those of personalised PageRank, :math:`\alpha (1 - \alpha)^l` and
    :math:`(1 - \alpha)^L` for the last. Negative ones turn the smoothing filter into one that keeps contrasts. No
    weight decay on them, as in the authors' code. State l is :math:`Z^{(l)}`.

    Args:
        alpha: of the initial weights, in [0, 1].

    Shapes: x (n, in_channels), adjacency (n, n), states and logits (n, out_channels).
    """

    without_decay = ("gamma",)

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        alpha: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.encoder = nn.ModuleList([Linear(in_channels, hidden), Linear(hidden, out_channels)])
        gamma = alpha * (1 - alpha) ** torch.arange(depth + 1, dtype=torch.get_default_dtype())
        gamma[-1] = (1 - alpha) ** depth
        self.gamma = nn.Parameter(gamma)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        first, second = self.encoder
        z = self.dropout(second(self.relu_dropout(first(self.dropout(x)))))
        return (z, self.gamma[..., 0, None] * z), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        z = graph.propagate(state[0])
        return z, torch.addcmul(graph.at_rows(state[1]), self.gamma[..., number + 1, None], z)

    def decode(self, state: State) -> Tensor:
        return state[1]

"""Attention with a sign: neighbours may be subtracted."""

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State


class FAGCN(Network):
    r"""FAGCN (Bo, Wang, Shi & Shen 2021, https://arxiv.org/abs/2101.00797): low and high frequencies, as learned.

    .. math:: h^{(0)} = \mathrm{relu}(X W_1 + b_1), \qquad
        h_i^{(l)} = \epsilon h_i^{(0)} + \sum_{j \in N(i)} \frac{a_{ij}}{\sqrt{d_i d_j}} h_j^{(l-1)}, \qquad
        a_{ij} = \tanh\big( g_l^\top [h_i^{(l-1)}, h_j^{(l-1)}] \big), \qquad \mathrm{logits} = h^{(L)} W_2 + b_2

    No self-loops; d counts neighbours. No weight matrix in a layer, only g. PyG's
    `FAConv(add_self_loops=False)`. Dropout acts on X, on h(0) and before the last product. The authors' code has a bias
    in the gate, which the paper's equation has not, and dropout of :math:`a_{ij}`; here edges are dropped by DropEdge.

    Args:
        epsilon: strength of the initial residual, in [0, 1].

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        epsilon: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.epsilon = epsilon
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        self.gates = nn.ParameterList(glorot(hidden, 2) for _ in range(depth))

    @property
    def uses_weights(self) -> bool:
        return False

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        h = self.relu_dropout(self.encoder(self.dropout(x)))
        return (h, self.epsilon * h), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h, residual = state
        return signed(graph, h @ self.gates[number]).propagate(h, residual=residual), residual

    def decode(self, state: State) -> Tensor:
        return self.decoder(self.dropout(state[0]))


def signed(graph: Adjacency, ends: Tensor) -> Adjacency:
    r""":math:`\tanh(u_i + v_j) / \sqrt{d_i d_j}` on neighbours, 0 on self-loops; `ends` holds (u, v), (n, 2)."""
    present = graph.neighbours.to(ends.dtype)
    root = graph.row_sums(present).clamp_min(1).rsqrt()
    i, j = graph.row, graph.col
    gate = torch.tanh(ends[:, 0].index_select(0, i) + ends[:, 1].index_select(0, j))
    return graph.with_values(gate * (present * root[i] * root[j]))

"""Attention with a sign: neighbours may be subtracted."""

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import Adjacency
from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import propagate


class FAGCN(NodeClassifier):
    r"""FAGCN (Bo, Wang, Shi & Shen 2021, https://arxiv.org/abs/2101.00797): low and high frequencies, as learned.

    .. math:: h^{(0)} = \mathrm{relu}(X W_1 + b_1), \qquad
        h_i^{(l)} = \epsilon h_i^{(0)} + \sum_{j \in N(i)} \frac{a_{ij}}{\sqrt{d_i d_j}} h_j^{(l-1)}, \qquad
        a_{ij} = \tanh\big( g_l^\top [h_i^{(l-1)}, h_j^{(l-1)}] \big), \qquad \mathrm{logits} = h^{(L)} W_2 + b_2

    No self-loops; d counts neighbours. No weight matrix in a layer, only g. PyG's
    `FAConv(add_self_loops=False)`. Dropout acts on X, on h(0) and before the last product. The authors' code has a bias
    in the gate, which the paper's equation has not, and dropout of :math:`a_{ij}`; here edges are dropped by DropEdge.

    Args:
        settings: what every architecture is told.
        epsilon: strength of the initial residual, in [0, 1].

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    def __init__(self, settings: Settings, epsilon: float = 0.3) -> None:
        super().__init__(settings)
        self.epsilon = epsilon
        self.encoder = Linear(settings.in_channels, settings.hidden)
        self.decoder = Linear(settings.hidden, settings.out_channels)
        self.gates = nn.ParameterList(glorot(settings.hidden, 2) for _ in range(settings.depth))

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        h, scale = self.drop(x)
        h, scale = self.relu_drop(self.encoder(h, scale))
        h = h0 = h if scale == 1.0 else h * scale
        observe(0, h)
        residual = self.epsilon * h0
        for layer, gate in enumerate(self.gates, start=1):
            h = propagate(signed(adjacency.at(layer), h @ gate), h, residual=residual)
            observe(layer, h)
        h, scale = self.drop(h)
        return self.decoder(h, scale)


def signed(adjacency: Adjacency, ends: Tensor) -> Adjacency:
    r""":math:`\tanh(u_i + v_j) / \sqrt{d_i d_j}` on neighbours, 0 on self-loops; `ends` holds (u, v), (n, 2)."""
    kept = adjacency.neighbours.to(ends.dtype)
    root = adjacency.row_sums(kept).clamp_min(1).rsqrt()
    i, j = adjacency.row, adjacency.col
    gate = torch.tanh(ends[:, 0].index_select(0, i) + ends[:, 1].index_select(0, j))
    return adjacency.weighted(gate * (kept * root[i] * root[j]))

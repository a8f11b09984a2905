"""Attention that is learned anew in every layer."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthlab.graph.adjacency import Adjacency
from depthlab.nn.attention import entry_softmax
from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import glorot
from depthlab.ops import matmul, propagate


class GAT(NodeClassifier):
    r"""Graph attention network (Velickovic et al. 2018, https://arxiv.org/abs/1710.10903).

    .. math:: H^{(l)} = \mathrm{elu}\Big( \big\Vert_h A^h H^{(l-1)} W^h + b \Big), \qquad
        a^h_{ij} = \mathrm{softmax}_{j \in N(i) \cup i}\ \mathrm{leakyrelu}
        \big( u_h^\top W^h x_i + v_h^\top W^h x_j \big)

    with slope 0.2; the heads stand side by side in hidden layers, the last layer has one head and no elu. PyG's
    `GATConv`, without the paper's dropout on the weights :math:`a^h_{ij}`. DropEdge (`p_drop`) is another thing: it
    takes both directions of an edge away, for all heads, and before the softmax, so that the weights that are left sum
    to one again; the paper drops single weights after it, self-loops too, and enlarges the rest. State 0 is X.

    Args:
        settings: what every architecture is told.
        heads: of the hidden layers; each has hidden / heads channels (at least 1).

    Shapes: x (n, in_channels), adjacency (n, n), states (n, heads * (hidden // heads)), logits (n, out_channels).
    """

    def __init__(self, settings: Settings, heads: int = 8) -> None:
        super().__init__(settings)
        width = heads * max(1, settings.hidden // heads)
        sizes = [settings.in_channels] + [width] * (settings.depth - 1) + [settings.out_channels]
        self.heads = [heads] * (settings.depth - 1) + [1]
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes[1:])
        self.receiver, self.sender = (
            nn.ParameterList(glorot(heads, size // heads) for heads, size in zip(self.heads, sizes[1:], strict=True))
            for _ in range(2)
        )
        self.norms = self.make_norms(settings.depth - 1, width)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)
        state: Features = x
        for layer, weight in enumerate(self.weights):
            h, scale = self.drop(state)
            z = self._attend(layer, adjacency.at(layer + 1), matmul(h, weight) * scale) + self.biases[layer]
            state = z if layer == self.settings.depth - 1 else F.elu(self.norms[layer](z))
            observe(layer + 1, state)
        return z

    def _attend(self, layer: int, adjacency: Adjacency, h: Tensor) -> Tensor:
        parts = h.view(h.shape[0], self.heads[layer], -1)  # (n, heads, width)
        to, of = ((parts * ends[layer]).sum(-1) for ends in (self.receiver, self.sender))
        scores = F.leaky_relu(to.index_select(0, adjacency.row) + of.index_select(0, adjacency.col), 0.2)
        weights = entry_softmax(scores, adjacency.values != 0, adjacency)
        heads = zip(weights.unbind(1), parts.unbind(1), strict=True)
        return torch.cat([propagate(adjacency.weighted(a), part.contiguous()) for a, part in heads], 1)

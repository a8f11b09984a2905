"""Attention that is learned anew in every layer."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthlab.nn.attention import entry_softmax
from depthlab.nn.linear import glorot, matmul
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms


class GAT(Network):
    r"""Graph attention network (Velickovic et al. 2018, https://arxiv.org/abs/1710.10903).

    .. math:: H^{(l)} = \mathrm{elu}\Big( \big\Vert_h A^h H^{(l-1)} W^h + b \Big), \qquad
        a^h_{ij} = \mathrm{softmax}_{j \in N(i) \cup i}\ \mathrm{leakyrelu}
        \big( u_h^\top W^h x_i + v_h^\top W^h x_j \big)

    with slope 0.2; the heads stand side by side in hidden layers, the last layer has one head and no elu. PyG's
    `GATConv`, without the paper's dropout on the weights :math:`a^h_{ij}`. DropEdge (`p_drop`) is another thing: it
    takes both directions of an edge away, for all heads, and before the softmax, so that the weights that are left sum
    to one again; the paper drops single weights after it, self-loops too, and enlarges the rest. State 0 is X.

    Args:
        heads: of the hidden layers; each has hidden / heads channels (at least 1).

    Shapes: x (n, in_channels), adjacency (n, n), states (n, heads * (hidden // heads)), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", heads: int = 8,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        width = heads * max(1, hidden // heads)
        sizes = [in_channels] + [width] * (depth - 1) + [out_channels]
        self.heads = [heads] * (depth - 1) + [1]
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes[1:])
        self.receiver, self.sender = (
            nn.ParameterList(glorot(heads, size // heads) for heads, size in zip(self.heads, sizes[1:], strict=True))
            for _ in range(2)
        )
        self.norms = make_norms(norm, depth - 1, width)

    @property
    def uses_weights(self) -> bool:
        return False

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (x,), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h = matmul(self.dropout(state[0]), self.weights[number])
        z = self._attend(number, graph, h) + self.biases[number]
        return (z if number == self.depth - 1 else F.elu(self.norms[number](z)),)

    def _attend(self, number: int, graph: Adjacency, h: Tensor) -> Tensor:
        parts = h.view(h.shape[0], self.heads[number], -1)  # (cols, heads, width)
        received = graph.at_rows((parts * self.receiver[number]).sum(-1)).index_select(0, graph.row)
        sent = (parts * self.sender[number]).sum(-1).index_select(0, graph.col)
        weights = entry_softmax(F.leaky_relu(received + sent, 0.2), graph.values != 0, graph)
        heads = zip(weights.unbind(1), parts.unbind(1), strict=True)
        return torch.cat([graph.with_values(a).propagate(part.contiguous()) for a, part in heads], 1)

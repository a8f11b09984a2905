"""Attention over the entries of an adjacency: one weight per entry, summing to one over each node's own.

It reads which entries are there, not their values: `drop_edge.mode` makes no difference to it.
"""

import math

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import Adjacency
from depthlab.nn.linear import glorot
from depthlab.ops import edge_scores


def entry_softmax(scores: Tensor, present: Tensor, adjacency: Adjacency) -> Tensor:
    """Softmax over the present entries of each row of the pattern; other entries get 0.

    Args:
        scores: one number per stored entry, (entries,) or (entries, heads).
        present: mask of the entries that take part, bool (entries,).
        adjacency: the pattern.

    Returns:
        Weights with the shape of `scores`.
    """
    from torch_geometric.utils import softmax

    present = present if scores.dim() == 1 else present.unsqueeze(-1)
    lowest = torch.finfo(scores.dtype).min / 2  # not -inf: a row without any would give nan
    weights = softmax(scores.masked_fill(~present, lowest), adjacency.row, num_nodes=adjacency.num_nodes)
    return weights * present


class DotAttention(nn.Module):
    r"""Scaled dot-product attention over neighbours (Vaswani et al. 2017), as in GRAND and ACMP.

    .. math:: a_{ij} = \frac{1}{H} \sum_h \mathrm{softmax}_{j \in N(i)}
        \frac{(W_Q^h x_i)^\top W_K^h x_j}{\sqrt{d_k}}

    Neighbours alone: no self-loop, no dropped edge. (The released code of ACMP has self-loops among them.)

    Args:
        channels: f, of the states.
        heads: H, averaged; each sees d_k = f / H channels (at least 1) of queries and keys.

    Shapes: x (n, f), weights (entries,).
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, max(1, channels // heads)
        self.query, self.key = (glorot(channels, heads * self.width) for _ in range(2))

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        patterns = adjacency.matrix, adjacency.transpose, adjacency.order
        pairs = zip((x @ self.query).split(self.width, 1), (x @ self.key).split(self.width, 1), strict=True)
        scores = torch.stack([edge_scores(*patterns, q.contiguous(), k.contiguous()) for q, k in pairs], 1)
        return entry_softmax(scores / math.sqrt(self.width), adjacency.neighbours, adjacency).mean(1)

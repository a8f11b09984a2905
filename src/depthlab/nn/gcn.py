"""The plain graph convolutional network."""

from itertools import pairwise

import torch
from torch import nn

from depthlab.nn.linear import glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms


class GCN(Network):
    r"""GCN of Kipf & Welling 2017, https://arxiv.org/abs/1609.02907: the baseline that smooths.

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l), \qquad \mathrm{logits} = P H^{(L-1)} W_L

    with :math:`P = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}`. No residual, no encoder, no norm unless `norm` says so.
    The first layer maps features to hidden, the last hidden to classes: state 0 is X, state `depth` the logits.

    Args:
        bias: add a bias per channel after propagation (PyG's `GCNConv` does by default; the paper's equation does not).

    Shapes: x (n, in_channels), adjacency (n, n), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", bias: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        sizes = [in_channels] + [hidden] * (depth - 1) + [out_channels]
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes[1:]) if bias else None
        self.norms = make_norms(norm, depth - 1, hidden)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.dropout(x),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        z = graph.propagate(state[0], self.weights[number])
        if self.biases is not None:
            z = z + self.biases[number]
        return (z if number == self.depth - 1 else self.relu_dropout(self.norms[number](z)),)

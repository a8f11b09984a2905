"""Every layer has a direct way to the classifier."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from depthlab.nn.linear import Linear, glorot
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms


class JKNet(Network):
    r"""Jumping knowledge network (Xu et al. 2018, https://arxiv.org/abs/1806.03536) on GCN layers.

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l), \qquad
        \mathrm{logits} = \mathrm{jump}(H^{(1)}, \dots, H^{(L)}) W_{\mathrm{out}} + b

    State 0 is X. Dropout acts on the input of every layer and on what jumps.

    Args:
        mode: `cat` puts all layers side by side, `max` takes the largest value of each channel.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", mode: str = "cat",
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.mode = mode
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise([in_channels] + [hidden] * depth))
        self.norms = make_norms(norm, depth, hidden)
        self.decoder = Linear((depth if mode == "cat" else 1) * hidden, out_channels)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.dropout(x),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        """The new state, followed by the earlier states for the jump connections, from the first layer on."""
        h = self.relu_dropout(self.norms[number](graph.propagate(state[0], self.weights[number])))
        return (h, *(graph.at_rows(before) for before in state[1:]), h)

    def decode(self, state: State) -> Tensor:
        states = state[1:]
        return self.decoder(torch.cat(states, -1) if self.mode == "cat" else torch.stack(states).amax(0))

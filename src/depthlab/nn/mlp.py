"""No graph at all: the zero-hop baseline."""

from itertools import pairwise

from torch import nn

from depthlab.nn.linear import Linear
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms


class MLP(Network):
    r"""A multi-layer perceptron on each node's own features.

    .. math:: H^{(l)} = \mathrm{relu}(H^{(l-1)} W_l + b_l), \qquad \mathrm{logits} = H^{(L-1)} W_L + b_L

    State 0 is X, state `depth` the logits. The adjacency is accepted and not read.

    Shapes: x (n, in_channels), logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none",
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        sizes = [in_channels] + [hidden] * (depth - 1) + [out_channels]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(sizes))
        self.norms = make_norms(norm, depth - 1, hidden)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.dropout(x),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        z = self.layers[number](graph.at_rows(state[0]))
        return (z if number == self.depth - 1 else self.relu_dropout(self.norms[number](z)),)

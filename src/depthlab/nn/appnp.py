"""Predict, then propagate: depth without weights."""

from torch import Tensor, nn

from depthlab.nn.linear import Linear
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.ops import can_compile, compiled_layers


class APPNP(Network):
    r"""APPNP (Klicpera, Bojchevski & Guennemann 2019, https://arxiv.org/abs/1810.05997).

    .. math:: Z^{(0)} = \mathrm{relu}(X W_1 + b_1) W_2 + b_2, \qquad
        Z^{(l)} = (1 - \alpha) P Z^{(l-1)} + \alpha Z^{(0)}, \qquad \mathrm{logits} = Z^{(L)}

    Personalised PageRank by L power steps with teleport probability alpha; all weights stand before the first one.
    State 0 is :math:`Z^{(0)}`. The paper's dropout on the adjacency is DropEdge here (`p_drop`).

    Args:
        alpha: teleport probability, in [0, 1]; the paper has 0.1.

    Shapes: x (n, in_channels), adjacency (n, n), states and logits (n, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        alpha: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.alpha = alpha
        self.encoder = nn.ModuleList([Linear(in_channels, hidden), Linear(hidden, out_channels)])

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        first, second = self.encoder
        z = second(self.relu_dropout(first(self.dropout(x))))
        return (z, self.alpha * z), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        teleport = graph.at_rows(state[1])
        return graph.propagate(state[0], scale=1 - self.alpha, residual=teleport), teleport

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """All layers as one compiled operation, which stores no states; None where it cannot be compiled."""
        if not can_compile(next(self.parameters()), graph):
            return None
        (z, teleport), graph = self.encode(x, graph)
        z = compiled_layers(
            graph.at, z, depth=self.depth, residual=teleport, relu=False, scale=1 - self.alpha, masks=self.masks
        )
        return self.decode((z,))

"""GCN with a residual connection around every hidden layer."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from depthlab.nn.gcn import GCN
from depthlab.nn.linear import glorot, matmul
from depthlab.nn.network import Adjacency, Features, LayerGraphs, State
from depthlab.ops import compiled_layers


class ResidualGCN(GCN):
    r"""Residual GCN (Kipf & Welling 2017, appendix B, https://arxiv.org/abs/1609.02907).

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l) + H^{(l-1)}

    in hidden layers; the first layer (features to hidden) and the last (hidden to classes) have no residual, since
    their sizes differ. Dropout acts on the convolution's input, not on the residual. States and shapes as in `GCN`.

    With `skip=linear` every layer has separate weights for a node's own state, inside the norm and relu (the tuned GCN
    of Luo et al. 2024, https://arxiv.org/abs/2406.08993), so that it can distinguish a node from its neighbours:

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l + H^{(l-1)} V_l), \qquad
        \mathrm{logits} = P H^{(L-1)} W_L + H^{(L-1)} V_L

    Args:
        skip: `identity` or `linear`.
        gcn: arguments of `GCN`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        skip: str = "identity", **gcn: Any,
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, depth, hidden, dropout, **gcn)
        sizes = [in_channels] + [hidden] * (depth - 1) + [out_channels]
        self.own = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes)) if skip == "linear" else None

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (x,), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        h = self.dropout(state[0])
        z = graph.propagate(h, self.weights[number])
        if self.biases is not None:
            z = z + self.biases[number]
        if self.own is not None:
            z = z + matmul(graph.at_rows(h), self.own[number])
        if number == self.depth - 1:
            return (z,)
        new = self.norms[number](z).relu()
        return (new if number == 0 or self.own is not None else new + graph.at_rows(state[0]),)

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """Compiled layers; None with weights for a node's own state and as in `GCN.fused`."""
        if self.own is not None or not self._compiles(graph):
            return None
        (x,), graph = self.encode(x, graph)
        before = self._first(self.dropout(x), graph, 0.0)
        h = compiled_layers(
            lambda number: graph.at(number + 1), self.dropout(before), depth=self.depth - 2,
            weights=self._hidden_weights(), skip=before, dropout=self.p_dropout if self.training else 0.0,
            masks=self.masks, every=every,
        )  # fmt: skip
        return self.decode((self._last(h, graph),))

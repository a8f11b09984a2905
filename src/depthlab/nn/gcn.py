"""The plain graph convolutional network."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from depthlab.nn.linear import glorot, matmul
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.norm import make_norms
from depthlab.ops import can_compile, compiled_layers


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
        self.has_norm = norm != "none"
        self.norms = make_norms(norm, depth - 1, hidden)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.dropout(x),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        z = graph.propagate(state[0], self.weights[number])
        if self.biases is not None:
            z = z + self.biases[number]
        return (z if number == self.depth - 1 else self.relu_dropout(self.norms[number](z)),)

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """Compiled layers; None with a norm or biases, with fewer than three layers, and where nothing can be compiled.

        With one or two layers none maps hidden channels to hidden channels, and torch's operations take less time.
        """
        if not self._compiles(graph):
            return None
        (h,), graph = self.encode(x, graph)
        p = self.p_dropout if self.training else 0.0
        h = compiled_layers(
            lambda number: graph.at(number + 1), self._first(h, graph, p), depth=self.depth - 2,
            weights=self._hidden_weights(), dropout=p, masks=self.masks, every=every,
        )  # fmt: skip
        return self.decode((self._last(h, graph),))

    def _compiles(self, graph: LayerGraphs) -> bool:
        plain = self.depth > 2 and not self.has_norm and self.biases is None
        return plain and can_compile(self.weights[0], graph)

    def _first(self, x: Features, graph: LayerGraphs, dropout: float) -> Tensor:
        """The state after the first layer, whose weight comes first since it reduces the features to fewer channels."""
        made = matmul(x, self.weights[0])
        return compiled_layers(graph.at, made, depth=1, dropout=dropout, masks=self.masks)

    def _last(self, x: Features, graph: LayerGraphs) -> Tensor:
        """The logits of the last layer."""
        made = matmul(x, self.weights[-1])
        return compiled_layers(lambda _: graph.at(self.depth - 1), made, depth=1, relu=False, masks=self.masks)

    def _hidden_weights(self) -> Tensor:
        return torch.stack(list(self.weights)[1:-1], -3)

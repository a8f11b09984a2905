"""The plain graph convolutional network."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import glorot
from depthlab.ops import matmul, propagate


class GCN(NodeClassifier):
    r"""GCN of Kipf & Welling 2017, https://arxiv.org/abs/1609.02907: the baseline that smooths.

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l), \qquad \mathrm{logits} = P H^{(L-1)} W_L

    with :math:`P = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}`. No residual, no encoder, no norm unless `norm` says so.
    The first layer maps features to hidden, the last hidden to classes: state 0 is X, state `depth` the logits.

    Args:
        settings: what every architecture is told.
        bias: add a bias per channel after propagation (PyG's `GCNConv` does by default; the paper's equation does not).

    Shapes: x (n, in_channels), adjacency (n, n), logits (n, out_channels).
    """

    can_checkpoint = True
    can_replicate = True

    def __init__(self, settings: Settings, bias: bool = False) -> None:
        super().__init__(settings)
        sizes = [settings.in_channels] + [settings.hidden] * (settings.depth - 1) + [settings.out_channels]
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes[1:]) if bias else None
        self.norms = self.make_norms(settings.depth - 1)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)

        def step(number: int, h: Features, scale: float) -> tuple[Tensor, float]:
            z = propagate(adjacency.at(number), matmul(h, self.weights[number - 1]), scale=scale)
            if self.biases is not None:
                z = z + self.biases[number - 1]
            return (z, 1.0) if number == self.settings.depth else self.relu_drop(self.norms[number - 1](z))

        logits: Tensor = self.run_layers(step, self.drop(x), observe)[0]
        return logits

    # Layer by layer, for graphs that do not fit in memory: `depthlab.nn.layerwise` ------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """State 0 of some nodes: their features."""
        return x

    def layer(self, number: int, gathered: Tensor, own: Tensor, first: Tensor) -> Tensor:
        """State `number` of some nodes from their rows of P H."""
        z = gathered @ self.weights[number - 1]
        if self.biases is not None:
            z = z + self.biases[number - 1]
        return z if number == self.settings.depth else self.norms[number - 1](z).relu()

    def decode(self, state: Tensor) -> Tensor:
        """The last state is the logits."""
        return state

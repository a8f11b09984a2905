"""GCN with a residual connection around every hidden layer."""

from torch import Tensor

from src.models.base import Adjacencies, Features, Observer, ignore
from src.models.gcn import GCN
from src.ops import matmul, propagate


class ResidualGCN(GCN):
    r"""Residual GCN (Kipf & Welling 2017, appendix B, https://arxiv.org/abs/1609.02907).

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l) + H^{(l-1)}

    in hidden layers; the first layer (features to hidden) and the last (hidden to classes) have none, since their sizes
    differ. Dropout acts on what enters the convolution, not on the residual. Arguments, states and shapes as in `GCN`.
    """

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)
        state: Features = x
        for layer, weight in enumerate(self.weights, start=1):
            h, scale = self.drop(state)
            z = propagate(adjacency.at(layer), matmul(h, weight), scale=scale)
            if self.biases is not None:
                z = z + self.biases[layer - 1]
            if layer == self.settings.depth:
                state = z
            elif layer == 1:
                state = self.norms[0](z).relu()
            else:
                state = self.norms[layer - 1](z).relu() + state
            observe(layer, state)
        return z

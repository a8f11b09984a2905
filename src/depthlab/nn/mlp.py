"""No graph at all: the zero-hop baseline."""

from itertools import pairwise

from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear


class MLP(NodeClassifier):
    r"""A multi-layer perceptron on each node's own features.

    .. math:: H^{(l)} = \mathrm{relu}(H^{(l-1)} W_l + b_l), \qquad \mathrm{logits} = H^{(L-1)} W_L + b_L

    State 0 is X, state `depth` the logits. The adjacency is accepted and not read.

    Shapes: x (n, in_channels), logits (n, out_channels).
    """

    can_checkpoint = True
    can_replicate = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        sizes = [settings.in_channels] + [settings.hidden] * (settings.depth - 1) + [settings.out_channels]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(sizes))
        self.norms = self.make_norms(settings.depth - 1)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)

        def layer(number: int, h: Features, scale: float) -> tuple[Tensor, float]:
            z = self.layers[number - 1](h, scale)
            return (z, 1.0) if number == self.settings.depth else self.relu_drop(self.norms[number - 1](z))

        logits: Tensor = self.run_layers(layer, self.drop(x), observe)[0]
        return logits

"""Predict, then propagate: depth without weights."""

from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear
from depthlab.ops import propagate


class APPNP(NodeClassifier):
    r"""APPNP (Klicpera, Bojchevski & Guennemann 2019, https://arxiv.org/abs/1810.05997).

    .. math:: Z^{(0)} = \mathrm{relu}(X W_1 + b_1) W_2 + b_2, \qquad
        Z^{(l)} = (1 - \alpha) P Z^{(l-1)} + \alpha Z^{(0)}, \qquad \mathrm{logits} = Z^{(L)}

    Personalised PageRank by L power steps with teleport probability alpha; all weights stand before the first one.
    State 0 is :math:`Z^{(0)}`. The paper's dropout on the adjacency is DropEdge here (`p_drop`).

    Args:
        settings: what every architecture is told.
        alpha: teleport probability, in [0, 1]; the paper has 0.1.

    Shapes: x (n, in_channels), adjacency (n, n), states and logits (n, out_channels).
    """

    can_replicate = True

    def __init__(self, settings: Settings, alpha: float = 0.1) -> None:
        super().__init__(settings)
        self.alpha = alpha
        sizes = (settings.in_channels, settings.hidden), (settings.hidden, settings.out_channels)
        self.encoder = nn.ModuleList(Linear(a, b) for a, b in sizes)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        first, second = self.encoder
        h, scale = self.drop(x)
        h, scale = self.relu_drop(first(h, scale))
        z = z0 = second(h, scale)
        observe(0, z0)
        teleport = self.alpha * z0
        for layer in range(1, self.settings.depth + 1):
            z = propagate(adjacency.at(layer), z, scale=1 - self.alpha, residual=teleport)
            observe(layer, z)
        return z

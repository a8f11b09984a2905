"""Predict, then propagate with learned weights on the powers of the adjacency: they may become negative."""

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear
from depthlab.ops import propagate


class GPRGNN(NodeClassifier):
    r"""GPR-GNN (Chien, Peng, Li & Milenkovic 2021, https://arxiv.org/abs/2006.07988).

    .. math:: Z^{(0)} = \mathrm{relu}(X W_1 + b_1) W_2 + b_2, \qquad Z^{(l)} = P Z^{(l-1)}, \qquad
        \mathrm{logits} = \sum_{l=0}^{L} \gamma_l Z^{(l)}

    with learned :math:`\gamma`, at the start those of personalised PageRank, :math:`\alpha (1 - \alpha)^l` and
    :math:`(1 - \alpha)^L` for the last. Negative ones turn the smoothing filter into one that keeps contrasts. No
    weight decay on them, as in the authors' code. State l is :math:`Z^{(l)}`.

    Args:
        settings: what every architecture is told.
        alpha: of the initial weights, in [0, 1].

    Shapes: x (n, in_channels), adjacency (n, n), states and logits (n, out_channels).
    """

    without_decay = ("gamma",)
    can_replicate = True

    def __init__(self, settings: Settings, alpha: float = 0.1) -> None:
        super().__init__(settings)
        sizes = (settings.in_channels, settings.hidden), (settings.hidden, settings.out_channels)
        self.encoder = nn.ModuleList(Linear(a, b) for a, b in sizes)
        gamma = alpha * (1 - alpha) ** torch.arange(settings.depth + 1, dtype=torch.get_default_dtype())
        gamma[-1] = (1 - alpha) ** settings.depth
        self.gamma = nn.Parameter(gamma)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        first, second = self.encoder
        h, scale = self.drop(x)
        h, scale = self.relu_drop(first(h, scale))
        z, scale = self.drop(second(h, scale))
        z = z if scale == 1.0 else z * scale
        observe(0, z)
        logits = self.gamma[..., 0, None] * z
        for layer in range(1, self.settings.depth + 1):
            z = propagate(adjacency.at(layer), z)
            logits = torch.addcmul(logits, self.gamma[..., layer, None], z)
            observe(layer, z)
        return logits

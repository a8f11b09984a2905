"""Every layer has a direct way to the classifier."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import matmul, propagate


class JKNet(NodeClassifier):
    r"""Jumping knowledge network (Xu et al. 2018, https://arxiv.org/abs/1806.03536) on GCN layers.

    .. math:: H^{(l)} = \mathrm{relu}(P H^{(l-1)} W_l), \qquad
        \mathrm{logits} = \mathrm{jump}(H^{(1)}, \dots, H^{(L)}) W_{\mathrm{out}} + b

    State 0 is X. Dropout acts on the input of every layer and on what jumps.

    Args:
        settings: what every architecture is told.
        mode: `cat` puts all layers side by side, `max` takes the largest value of each channel.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    can_replicate = True

    def __init__(self, settings: Settings, mode: str = "cat") -> None:
        super().__init__(settings)
        self.mode = mode
        sizes = [settings.in_channels] + [settings.hidden] * settings.depth
        self.weights = nn.ParameterList(glorot(a, b) for a, b in pairwise(sizes))
        self.norms = self.make_norms(settings.depth)
        jumping = settings.depth if mode == "cat" else 1
        self.decoder = Linear(jumping * settings.hidden, settings.out_channels)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)
        h, scale = self.drop(x)
        states = []
        for layer, (weight, norm) in enumerate(zip(self.weights, self.norms, strict=True), start=1):
            z = propagate(adjacency.at(layer), matmul(h, weight), scale=scale)
            h, scale = self.relu_drop(norm(z))
            states.append(h)
            observe(layer, h)
        jump = torch.cat(states, -1) if self.mode == "cat" else torch.stack(states).amax(0)
        return self.decoder(jump, scale)

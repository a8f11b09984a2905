"""The graph isomorphism network: sums that tell multisets apart."""

import torch
from torch import Tensor, nn

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import Adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear, glorot
from depthlab.ops import matmul, propagate


class GIN(NodeClassifier):
    r"""GIN of Xu et al. 2019, https://arxiv.org/abs/1810.00826: neighbours are summed, not averaged.

    .. math:: H^{(l)} = \mathrm{relu}\big( M_l \big( (1 + \epsilon_l) H^{(l-1)} + A H^{(l-1)} \big) \big), \qquad
        M_l(Z) = \mathrm{relu}(Z U_l + b_l) V_l + c_l

    with the plain adjacency A; the last layer has no outer relu and ends in the logits. This is PyG's `GINConv` with a
    perceptron of two layers, a norm only between layers. The product with U is taken before the sum, which is the same:
    sparse features stay sparse. Dropout acts on what enters a layer. State 0 is X.

    Args:
        settings: what every architecture is told.
        epsilon: :math:`\epsilon_l`, the same in every layer at the start.
        learn_epsilon: learn it, in each layer its own.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    without_decay = ("epsilon",)

    def __init__(self, settings: Settings, epsilon: float = 0.0, learn_epsilon: bool = False) -> None:
        super().__init__(settings)
        sizes = [settings.in_channels] + [settings.hidden] * (settings.depth - 1) + [settings.out_channels]
        self.first = nn.ParameterList(glorot(size, settings.hidden) for size in sizes[:-1])
        self.biases = nn.ParameterList(torch.zeros(settings.hidden) for _ in sizes[:-1])
        self.second = nn.ModuleList(Linear(settings.hidden, size) for size in sizes[1:])
        self.epsilon = nn.Parameter(torch.full((settings.depth,), float(epsilon)), requires_grad=learn_epsilon)
        self.norms = self.make_norms(settings.depth - 1)

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        observe(0, x)
        h, scale = self.drop(x)
        weighted: Adjacency | None = None
        for layer, (weight, bias, second) in enumerate(zip(self.first, self.biases, self.second, strict=True), start=1):
            inner = matmul(h, weight) * scale
            own = (1 + self.epsilon[layer - 1]) * inner + bias
            if (given := adjacency.at(layer)) is not weighted:  # the same in every layer, unless each drops its own
                weighted, plain = given, unweighted(given)
            z = second(propagate(plain, inner, residual=own).relu())
            if layer < self.settings.depth:
                h, scale = self.relu_drop(self.norms[layer - 1](z))
                observe(layer, h)
        observe(self.settings.depth, z)
        return z

    def check(self, graph: Graph) -> None:
        """Refuse weights of edges: a sum counts neighbours."""
        if self.settings.drop_edge.p > 0 and self.settings.drop_edge.mode == "rescale":
            raise UserError("drop_edge.mode=rescale weighs edges, GIN counts them: use drop_edge.mode=renormalize")


def unweighted(adjacency: Adjacency) -> Adjacency:
    """A: one for every neighbour that is not dropped, nothing for the node itself."""
    return adjacency.with_values(adjacency.neighbours.to(adjacency.values.dtype))

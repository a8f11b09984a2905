"""The graph isomorphism network: sums that tell multisets apart."""

import torch
from torch import nn

from depthlab.nn.linear import Linear, glorot, matmul
from depthlab.nn.network import Adjacency, DropEdge, Features, Graph, LayerGraphs, Network, State, UserError
from depthlab.nn.norm import make_norms


class GIN(Network):
    r"""GIN of Xu et al. 2019, https://arxiv.org/abs/1810.00826: neighbours are summed, not averaged.

    .. math:: H^{(l)} = \mathrm{relu}\big( M_l \big( (1 + \epsilon_l) H^{(l-1)} + A H^{(l-1)} \big) \big), \qquad
        M_l(Z) = \mathrm{relu}(Z U_l + b_l) V_l + c_l

    with the plain adjacency A; the last layer has no outer relu and ends in the logits. This is PyG's `GINConv` with a
    perceptron of two layers, a norm only between layers. The product with U is taken before the sum, which is the same:
    sparse features stay sparse. Dropout acts on what enters a layer. State 0 is X.

    Args:
        epsilon: :math:`\epsilon_l`, the same in every layer at the start.
        learn_epsilon: learn it, in each layer its own.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    without_decay = ("epsilon",)

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        norm: str = "none", epsilon: float = 0.0, learn_epsilon: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        sizes = [in_channels] + [hidden] * (depth - 1) + [out_channels]
        self.first = nn.ParameterList(glorot(size, hidden) for size in sizes[:-1])
        self.biases = nn.ParameterList(torch.zeros(hidden) for _ in sizes[:-1])
        self.second = nn.ModuleList(Linear(hidden, size) for size in sizes[1:])
        self.epsilon = nn.Parameter(torch.full((depth,), float(epsilon)), requires_grad=learn_epsilon)
        self.norms = make_norms(norm, depth - 1, hidden)

    @property
    def uses_weights(self) -> bool:
        return False

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        return (self.dropout(x),), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        inner = matmul(state[0], self.first[number])
        own = (1 + self.epsilon[number]) * graph.at_rows(inner) + self.biases[number]
        z = self.second[number](unweighted(graph).propagate(inner, residual=own).relu())
        return (z if number == self.depth - 1 else self.relu_dropout(self.norms[number](z)),)

    def check(self, graph: Graph, drop_edge: DropEdge) -> None:
        """Refuse weights of edges: a sum counts neighbours."""
        if drop_edge.p > 0 and drop_edge.mode == "rescale":
            raise UserError("drop_edge.mode=rescale weighs edges, GIN counts them: use drop_edge.mode=renormalize")


def unweighted(graph: Adjacency) -> Adjacency:
    """A: one for every neighbour that is not dropped, nothing for the node itself."""
    return graph.with_values(graph.neighbours.to(graph.values.dtype))

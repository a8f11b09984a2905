"""The base class of the architectures: a subclass defines `encode`, `layer` and `decode`, and `forward` runs them."""

from typing import Any, Protocol

from torch import Tensor, nn

from depthlab.config.errors import UserError as UserError
from depthlab.graph.adjacency import Adjacency as Adjacency
from depthlab.graph.drop_edge import DropEdge as DropEdge
from depthlab.graph.graph import Graph as Graph
from depthlab.ops import MaskSource, SparseFeatures, dropout, relu_dropout

Features = Tensor | SparseFeatures
State = tuple[Any, ...]  # tensors; the first one is measured, the others are passed along


class LayerGraphs(Protocol):
    """Operators by layer; an `Adjacency` returns itself for every layer."""

    def at(self, layer: int) -> Any:
        """The operator of layer `layer`."""


class Network(nn.Module):
    """Base of the architectures. A subclass defines its parameters, `encode`, `layer` and, if it needs one, `decode`.

    The constructor creates parameters and must not read their values, because it is also called on the meta device to
    count them. Its arguments are in_channels, out_channels, depth, hidden and dropout, `norm` if it has a parameter of
    that name, and the settings of the model's yaml. Everything that iterates over layers is in
    `depthlab.nn.execution`: observing states, gradients by state, recomputation, inference in blocks of rows, and
    cutting a layer.

    `has_layers` is False if one pass computes all states, so that layers cannot be run one by one (`ModuleNetwork`).
    `uses_weights` is False if layers use only the sparsity pattern of P, and not the edge weights.
    Modules named `encoder` and `decoder` get `weight_decay_linear`; parameters named in `without_decay` get no decay.

    Args:
        depth: number of layers L >= 1.
        dropout: probability with which `dropout` and `relu_dropout` zero an element in training, in [0, 1).

    Raises:
        UserError: a subclass defines `forward`, which could differ from its layers.
    """

    without_decay: tuple[str, ...] = ()
    has_layers: bool = True

    @property
    def uses_weights(self) -> bool:
        return True

    def __init__(self, depth: int, dropout: float = 0.0) -> None:
        if type(self).forward is not Network.forward:
            name = type(self).__name__
            raise UserError(
                f"{name} defines forward, which may differ from its layers: define encode, layer and decode instead"
            )
        super().__init__()
        self.depth, self.p_dropout = depth, dropout
        self.masks = MaskSource(0)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        """Features (n, in_channels) -> the input state of the first layer, tensors (n, channels), and the graph that
        the layers use, usually the given one."""
        raise NotImplementedError("an architecture defines encode")  # pragma: no cover

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        """Layer `number`, 0..depth-1: tensors (cols, channels) -> tensors (rows, channels).

        `graph.propagate` maps columns to rows, `graph.at_rows` selects the states of the rows' own nodes. In a pass
        over the full graph rows and columns are the same nodes.
        """
        raise NotImplementedError("an architecture defines layer")  # pragma: no cover

    def decode(self, state: State) -> Tensor:
        """The last state -> outputs (n, out_channels); by default its first tensor."""
        return state[0]

    def forward(self, x: Features, graph: LayerGraphs) -> Tensor:
        """Outputs (n, out_channels)."""
        state, graph = self.encode(x, graph)
        for number in range(self.depth):
            state = self.layer(number, state, graph.at(number))
        return self.decode(state)

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """An optional faster `forward`, used if no state is observed; None if there is none.

        Args:
            every: store the input of every `every`-th layer for the backward pass and recompute the other states.
        """
        return None

    # Pieces for subclasses -------------------------------------------------------------------------------------------

    def dropout(self, x: Features) -> Any:
        """Dropout in training; applied to the stored values of sparse features."""
        p = self.p_dropout if self.training else 0.0
        return x.dropout(p, self.masks) if isinstance(x, SparseFeatures) else dropout(x, p, self.masks)

    def relu_dropout(self, x: Tensor) -> Tensor:
        """`dropout(relu(x))` in one pass."""
        return relu_dropout(x, self.p_dropout if self.training else 0.0, self.masks)

    # Optional methods ------------------------------------------------------------------------------------------------

    def check(self, graph: Graph, drop_edge: DropEdge) -> None:
        """Raise UserError if this architecture cannot work on this graph; called once, before training."""

    def findings(self) -> dict[str, float]:
        """Values specific to the architecture after a pass, recorded once at the end of a run under these names."""
        return {}

    def divergence(self) -> str:
        """A sentence on why a pass diverged and which settings are stable; empty if the architecture cannot tell."""
        return ""

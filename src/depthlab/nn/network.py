"""What an architecture is: a first state, a layer and a read-out, each written once. `forward` follows from these."""

from typing import Any, Protocol

from torch import Tensor, nn

from depthlab.config.errors import UserError as UserError
from depthlab.graph.adjacency import Adjacency as Adjacency
from depthlab.graph.drop_edge import DropEdge as DropEdge
from depthlab.graph.graph import Graph as Graph
from depthlab.ops import MaskSource, SparseFeatures, dropout, relu_dropout

Features = Tensor | SparseFeatures
State = tuple[Any, ...]  # of tensors; the first is what is measured, what rides along follows


class LayerGraphs(Protocol):
    """A graph for each layer; an `Adjacency` is itself that of every layer."""

    def at(self, layer: int) -> Any:
        """The operator that layer `layer` propagates over."""


class Network(nn.Module):
    """Base of the architectures. A subclass defines its parameters, `encode`, `layer` and, if it needs one, `decode`.

    The constructor makes parameters and never reads one: it is also called on the meta device, to count them. It gets
    in_channels, out_channels, depth, hidden and dropout, `norm` if it has an argument of that name, and the arguments
    of the model's yaml. Whatever iterates over layers is derived in `depthlab.nn.execution`: watching states,
    gradients by state, recomputation, inference in blocks of rows, cutting a layer out.

    Modules named `encoder` and `decoder` get `weight_decay_linear`, what `without_decay` names gets none.

    Args:
        depth: number of layers L >= 1.
        dropout: probability with which `dropout` and `relu_dropout` zero an element in training, in [0, 1).

    Raises:
        UserError: a subclass defines `forward`, which the layers would not follow.
    """

    without_decay: tuple[str, ...] = ()

    def __init__(self, depth: int, dropout: float = 0.0) -> None:
        if type(self).forward is not Network.forward:
            name = type(self).__name__
            raise UserError(f"{name} defines forward, which its layers do not follow: define encode, layer and decode")
        super().__init__()
        self.depth, self.p_dropout = depth, dropout
        self.masks = MaskSource(0)

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        """Features (n, in_channels) -> the state that enters the first layer, entries (n, channels), and the graph that
        the layers use: mostly the one given."""
        raise NotImplementedError("an architecture defines encode")  # pragma: no cover

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        """Layer 0..depth-1: entries (cols, channels) -> entries (rows, channels).

        `graph.propagate` leads from columns to rows, `graph.at_rows` gives each row its own node's entry. Where all
        nodes are at work the two are the same nodes.
        """
        raise NotImplementedError("an architecture defines layer")  # pragma: no cover

    def decode(self, state: State) -> Tensor:
        """The last state -> outputs (n, out_channels); by default its first entry."""
        return state[0]

    def forward(self, x: Features, graph: LayerGraphs) -> Tensor:
        """Outputs (n, out_channels)."""
        state, graph = self.encode(x, graph)
        for number in range(self.depth):
            state = self.layer(number, state, graph.at(number))
        return self.decode(state)

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """An optional faster way to `forward`, used where no state is watched; None where there is none.

        Args:
            every: keep the state before every so many layers for the backward pass and recompute the others.
        """
        return None

    # Pieces for subclasses -------------------------------------------------------------------------------------------

    def dropout(self, x: Features) -> Any:
        """Dropout in training; of sparse features that of the stored values."""
        p = self.p_dropout if self.training else 0.0
        return x.dropout(p, self.masks) if isinstance(x, SparseFeatures) else dropout(x, p, self.masks)

    def relu_dropout(self, x: Tensor) -> Tensor:
        """`dropout(relu(x))` in one pass."""
        return relu_dropout(x, self.p_dropout if self.training else 0.0, self.masks)

    # What a run may ask ----------------------------------------------------------------------------------------------

    def check(self, graph: Graph, drop_edge: DropEdge) -> None:
        """Raise UserError if this architecture cannot work on this graph; called once, before training."""

    def findings(self) -> dict[str, float]:
        """What only the architecture knows after a pass, recorded once at the end of a run; names as in MLflow."""
        return {}

    def divergence(self) -> str:
        """Why a pass diverged and which settings would be stable, in words; empty if the architecture does not know."""
        return ""

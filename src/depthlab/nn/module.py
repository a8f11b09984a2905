"""External modules: train any module with `forward(x, edge_index[, edge_weight])` unchanged."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from depthlab.config.errors import UserError, lacks_memory
from depthlab.config.modules import describe_error, label
from depthlab.graph.adjacency import Adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.construct import construct, takes_weights
from depthlab.nn.network import Features, LayerGraphs, Network, State
from depthlab.nn.observe import layers_of, observe
from depthlab.nn.probe import ERRORS
from depthlab.ops import SparseFeatures
from depthlab.ops.masks import draw_threshold

CACHES = ("_cached_edge_index", "_cached_adj_t", "_cached_x")  # attributes of PyG's convolutions with cached=True


class ModuleNetwork(Network):
    """An external module, whose layers cannot be called one by one: one forward pass computes all states.

    Hooks read the states (`depthlab.nn.observe`): state l is the input of message-passing layer l + 1, and the last
    state is the input of the first module after the last layer, or the output. The module gets dense features, and the
    edges of the graph without self-loops, dropped edges and normalisation. It draws torch's random numbers.

    Args:
        target: class of the module, a dotted name or `FILE.py:CLASS`.
        args: further constructor arguments.
        layers: pattern of the names of the layers; by default PyG's message-passing layers.
        names: possible constructor arguments for depth, hidden, dropout, in_channels and out_channels; the first one
            that exists gets the value.

    Attributes:
        depth: after `check`, the number of layers that a forward pass calls.

    Shapes: x (n, in_channels), edge_index (2, m), edge_weight (m,), output (n, out_channels).

    Raises:
        UserError: the module cannot be built from these arguments.
    """

    has_layers = False

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0, *, target: str,
        args: Mapping[str, Any] | None = None, layers: str | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(depth)
        self.target, self.name, self.pattern, self.asked_depth = target, label(target), layers, depth
        self.out_channels, self.drop_edge = out_channels, DropEdge(0.0)
        values = {"in_channels": in_channels, "out_channels": out_channels, "depth": depth, "hidden": hidden}
        self.module, self.named = construct(target, values | {"dropout": dropout}, args or {}, names or {})
        self.takes_weights = takes_weights(self.module, self.name)
        self._dense: tuple[SparseFeatures, Tensor] | None = None
        self._caching = [part for part in self.module.modules() if getattr(part, "cached", False) is True]
        self._cached_for: tuple[Adjacency, Features] | None = None

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        """Run the whole module; return the first state and the output, and all states in place of the graph."""
        with observe(self.module, self.pattern) as seen:
            output = self._call(x, graph.at(0))
            states = list(seen)
        if len(states) != self.depth + 1:
            raise UserError(f"{self.name} called {len(states) - 1} layers in this pass, and {self.depth} before")
        return (states[0], output), _Pass(states)

    def layer(self, number: int, state: State, graph: Any) -> State:
        return graph.states[number + 1], state[1]

    def decode(self, state: State) -> Tensor:
        output: Tensor = state[1]
        return output

    def fused(self, x: Features, graph: LayerGraphs, every: int) -> Tensor | None:
        """The output, without hooks."""
        return self._call(x, graph.at(0))

    def _call(self, x: Features, adjacency: Adjacency) -> Tensor:
        self._clear_caches(adjacency, x)
        edge_index, edge_weight = self._edges(adjacency)
        weights = {"edge_weight": edge_weight} if self.takes_weights and edge_weight is not None else {}
        output: Tensor = self.module(self._to_dense(x), edge_index, **weights)
        return output

    def _clear_caches(self, adjacency: Adjacency, x: Features) -> None:
        """Empty the caches of convolutions with `cached=True`, unless they belong to this graph."""
        if not self._caching or (self._cached_for and self._cached_for[0] is adjacency and self._cached_for[1] is x):
            return
        self._cached_for = adjacency, x
        for part in self._caching:
            for name in CACHES:
                if hasattr(part, name):
                    setattr(part, name, None)

    def _edges(self, adjacency: Adjacency) -> tuple[Tensor, Tensor | None]:
        """The edges without self-loops and dropped edges, (2, m), and their weights, (m,), unless all are 1."""
        kept = adjacency.neighbours
        edge_index = torch.stack([adjacency.col[kept], adjacency.row[kept]])
        edge_weight = None if adjacency.weights is None else adjacency.weights[kept]
        if self.training and self._rescales:
            _, scale = draw_threshold(self.drop_edge.p)
            ones = torch.ones_like(adjacency.values[kept]) if edge_weight is None else edge_weight
            edge_weight = scale * ones
        return edge_index, edge_weight

    @property
    def uses_weights(self) -> bool:
        return self.takes_weights

    @property
    def _rescales(self) -> bool:
        return self.drop_edge.p > 0 and self.drop_edge.mode == "rescale"

    def _to_dense(self, x: Features) -> Tensor:
        """Convert features to dense, and cache the result."""
        if not isinstance(x, SparseFeatures):
            return x
        if self._dense is None or self._dense[0] is not x:
            self._dense = (x, x.to_dense())
        return self._dense[1]

    def findings(self) -> dict[str, float]:
        """The number of message-passing layers, if it differs from the requested depth."""
        return {} if self.depth == self.asked_depth else {"message_passing_layers": float(self.depth)}

    # Checks before training ------------------------------------------------------------------------------------------

    def check(self, graph: Graph, drop_edge: DropEdge) -> None:
        """Run the module once on this graph, count its layers, and check that the settings fit.

        Raises:
            UserError: forward fails or returns the wrong shape; the module has no layers or no parameters; its number
                of layers is fixed and differs from the depth; or it caches its operator or ignores edge weights, and
                DropEdge would change them.
        """
        self.drop_edge = drop_edge
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise UserError(f"{self.name} has no parameters to train")
        if drop_edge.p > 0 and self._caching:
            kind = type(self._caching[0]).__name__
            raise UserError(f"{kind} caches its operator (cached=True), so no edge would be dropped: leave cached out")
        if self._rescales and not self.takes_weights:
            raise UserError(f"{self.name} ignores edge weights, which drop_edge.mode=rescale changes: use renormalize")
        if graph.adjacency.weights is not None and not self.takes_weights:
            raise UserError(f"{self.name} ignores the edge weights of this graph: use a network that takes edge_weight")
        layers_of(self.module, self.pattern)
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad(), observe(self.module, self.pattern) as seen:
                output = self._call(graph.x, graph.layers.at(0))
                count = len(seen) - 1
        except UserError:
            raise
        except ERRORS as error:
            if lacks_memory(error) or isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(f"the forward pass of {self.name} fails: {describe_error(error, self.target)}") from error
        finally:
            self.train(was_training)
        self._check_output(output, graph)
        self._count_layers(count)

    def _check_output(self, output: Any, graph: Graph) -> None:
        if not isinstance(output, Tensor):
            raise UserError(
                f"{self.name} returns a {type(output).__name__}: let forward return one tensor (n, outputs)"
            )
        expected = (graph.y.numel(), self.out_channels)
        if tuple(output.shape) != expected:
            given = self.named.get("out_channels")
            hint = "" if given else ": give its constructor an argument out_channels, or name it in model.names"
            if output.ndim != 2 or len(output) != expected[0]:
                hint = ": let forward return a row for each node, in their order"
            raise UserError(
                f"{self.name} returns {_shape(output.shape)} numbers, the task needs {_shape(expected)}{hint}"
            )
        if output.isnan().any():
            raise UserError(f"{self.name} returns NaN before training: correct its forward pass or its initialisation")

    def _count_layers(self, count: int) -> None:
        if count < 1:
            hint = f"check model.layers={self.pattern}" if self.pattern else "call them in forward"
            raise UserError(f"{self.name} calls none of its message-passing layers: {hint}")
        self.depth = count
        if count == self.asked_depth:
            return
        if "depth" not in self.named:
            raise UserError(
                f"{self.name} has {count} layers and no argument for depth={self.asked_depth}: use depth={count}, or"
                " name the argument in model.names.depth"
            )
        print(f"{self.name} has {count} message-passing layers at depth={self.asked_depth}", file=sys.stderr)


class _Pass:
    """The states of a forward pass, used in place of a graph."""

    def __init__(self, states: list[Tensor]) -> None:
        self.states = states

    def at(self, layer: int) -> "_Pass":
        return self


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "single"

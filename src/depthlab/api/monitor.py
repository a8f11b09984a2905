"""`dl.DepthMonitor`: log the measures by layer during any Lightning training."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from depthlab.api.contexts import evaluation_mode
from depthlab.api.graph_module import UndirectedEdges, find_edges, graph_network
from depthlab.api.inputs import Inputs, make_inputs
from depthlab.config.errors import UserError
from depthlab.measures.edges import check_undirected
from depthlab.measures.registry import MEASURES, check_by_layer
from depthlab.nn.observe import States, observe

if "lightning.pytorch" in sys.modules:  # the same class in the package `lightning`
    from lightning.pytorch import Callback  # type: ignore[import-not-found]
else:
    from pytorch_lightning.callbacks import Callback

if TYPE_CHECKING:
    import pandas as pd

USUAL = ("dirichlet_energy", "rayleigh_quotient", "effective_rank")
GRADIENT = "gradient_norm"


class DepthMonitor(Callback):
    """Log the measures by layer of a graph network in any LightningModule, to the loggers of its trainer.

    After epochs 0, `every`, 2 `every`, ... the node states are measured in evaluation mode. They come from the last
    validation batch, or without validation from an extra forward pass over the last training batch, or over `data`.
    The training does not change: modes, random numbers and batch statistics are restored. The gradient of the training
    loss with respect to each state comes from the last training step of the epoch.

    Loggers get `depth/MEASURE/layer_LL` for each measured layer, and `depth/MEASURE/retained`: the value at the last
    but one state divided by the value after the first layer. A value near 0 means over-smoothing. State 0 is measured
    only if the network computes it, because input features do not change.

    Args:
        every: number of epochs between two measurements.
        measures: names of measures by layer (`dl.measures.MEASURES`).
        module: the graph network, or its name in the LightningModule, such as `encoder`; by default the smallest module
            that contains all message-passing layers.
        data: a graph to measure on, such as a PyG `Data`; the network is then called as `forward(x, edge_index)`. By
            default a batch of the training, with the same call as in the training.
        layers: pattern of the names of the modules that are layers, such as `blocks.*`; by default PyG's
            message-passing layers.
        points: maximum number of measured layers, evenly spaced. Each one costs time and adds a curve to the logger.

    Attributes:
        history: a dict for each measurement: `epoch`, `step`, `layers` (numbers of the measured states) and for each
            measure its values, with `gradient_norm`.

    Raises:
        UserError: an argument is invalid; or, when training starts, the network has no message-passing layers.
    """

    def __init__(
        self,
        every: int = 10,
        measures: Sequence[str] = USUAL,
        module: str | nn.Module | None = None,
        data: Any = None,
        layers: str | None = None,
        points: int = 9,
    ) -> None:
        for name, value, least in (("every", every, 1), ("points", points, 2)):
            if type(value) is not int or value < least:
                raise UserError(f"{name} must be a whole number of at least {least}, got {value}")
        check_by_layer(measures)
        self.every, self.measures, self.points = every, tuple(measures), points
        self.module, self.layers = module, layers
        self.history: list[dict[str, Any]] = []
        self._inputs: Inputs | None = None if data is None else make_inputs(data)
        self._edges = UndirectedEdges()
        self._stack = ExitStack()
        self._stopped = False
        self._reset()

    def _reset(self) -> None:
        self._seen: States | None = None
        self._call: tuple[Any, Any] | None = None  # arguments of the last training pass
        self._evaluated: tuple[list[Tensor], Any] | None = None  # states and arguments of the last evaluation pass
        self._gradients: dict[int, float] = {}
        self._computes_state_0 = False

    # Lightning's hooks -----------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Find the network, so that an error stops the training before its first step."""
        self._network = graph_network(pl_module, self.module, self.layers)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._stopped or trainer.current_epoch % self.every or not trainer.is_global_zero:
            return
        self._reset()
        self._seen = self._stack.enter_context(observe(self._network, self.layers))
        handle = self._network.register_forward_hook(self._after_pass, with_kwargs=True)
        self._stack.callback(handle.remove)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        if self._seen is None or not self._network.training or not self._seen.is_complete:
            return
        try:
            states = list(self._seen)
        except UserError:  # an operation in place
            return
        self._computes_state_0 = states[0].grad_fn is not None
        for number, state in enumerate(states):
            if state.requires_grad:
                state.register_hook(partial(self._keep_gradient, number))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._seen is None:
            return
        try:
            self._measure(trainer)
        except UserError as error:
            self._stopped = True
            warnings.warn(f"DepthMonitor stops: {error}", stacklevel=1)
        finally:
            self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._close()

    # Measuring -------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        self._stack.close()
        self._reset()

    def _after_pass(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module.training:
            self._call = args, kwargs
        elif self._seen is not None and self._inputs is None:
            self._evaluated = list(self._seen), (args, kwargs)

    def _keep_gradient(self, number: int, gradient: Tensor) -> None:
        self._gradients[number] = float(gradient.norm())

    def _states(self) -> tuple[list[Tensor], Tensor]:
        """The states, and the undirected edges for the measures."""
        if self._inputs is not None:
            device = next(self._network.parameters()).device
            with evaluation_mode(self._network), torch.no_grad(), observe(self._network, self.layers) as seen:
                self._inputs.to(device).call(self._network)
                return [state.cpu() for state in seen], self._edges.undirected(self._inputs.edge_index, len(seen[0]))
        if self._evaluated is None and self._call is not None:
            args, kwargs = self._call
            with evaluation_mode(self._network), torch.no_grad():
                self._network(*args, **kwargs)
        if self._evaluated is None:
            raise UserError(
                f"{type(self._network).__name__} was not called as a whole: name the module that is, module=NAME"
            )
        states, arguments = self._evaluated
        edges = next(find_edges(arguments), None)
        if edges is None:
            raise UserError(f"{type(self._network).__name__} gets no edge_index (2, edges): pass a graph as data=")
        return states, self._edges.undirected(edges, len(states[-1]))

    @torch.no_grad()
    def _measure(self, trainer: Any) -> None:
        states, edges = self._states()
        first = 0 if self._computes_state_0 else 1
        numbers = evenly_spaced(first, len(states) - 1, self.points)
        entry: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step, "layers": numbers}
        for number in numbers:
            check_undirected(edges, len(states[number]))
        for name in self.measures:
            function = MEASURES[name].load()
            entry[name] = [function(states[number], edges) for number in numbers]
        if self._gradients:
            entry[GRADIENT] = [self._gradients.get(number, 0.0) for number in numbers]
        self.history.append(entry)
        logged = _flat_metrics(entry)
        for logger in trainer.loggers:
            logger.log_metrics(logged, step=trainer.global_step)

    def to_frame(self) -> "pd.DataFrame":
        """The history as a table: a row for each epoch and layer, a column for each measure."""
        import pandas as pd

        frames = [pd.DataFrame({**entry, "layer": entry["layers"]}).drop(columns="layers") for entry in self.history]
        table = pd.concat(frames) if frames else pd.DataFrame(columns=["epoch", "step", "layer", *self.measures])
        return table.set_index(["epoch", "layer"])


def evenly_spaced(first: int, last: int, points: int) -> list[int]:
    """At most `points` integers, evenly spaced from `first` to `last`; they include `last - 1`, which verdicts use."""
    if last - first < points:
        return list(range(first, last + 1))
    inner = points - 1
    even = (
        [round(first + (last - 1 - first) * number / (inner - 1)) for number in range(inner)] if inner > 1 else [first]
    )
    return sorted({*even, last})


def _flat_metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """One number for each metric name, from an entry of the history."""
    layers, logged = entry["layers"], dict[str, float]()
    digits = len(str(layers[-1]))
    for name, curve in entry.items():
        if name in MEASURES:
            logged |= {f"depth/{name}/layer_{k:0{digits}}": v for k, v in zip(layers, curve, strict=True)}
            values = dict(zip(layers, curve, strict=True))
            last = values.get(layers[-1] - 1)
            if last is not None and values.get(1):
                logged[f"depth/{name}/retained"] = last / values[1]
    return logged

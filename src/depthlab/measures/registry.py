"""The registry of measures that a run can record: name, function, label, scale and axis. Imports no torch.

To add a measure, add one entry here. The setting `measures` then accepts its name, MLflow gets its curves by layer and
against depth, and the report gets its column, panels and table rows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from depthlab.config.errors import UserError


@dataclass(frozen=True)
class Measure:
    """A measure and how it is recorded and shown.

    Attributes:
        name: name in the setting `measures` and in files.
        function: the function or its dotted name. By layer: states (n, f), edges (2, m) -> number. By hop: model,
            graph, nodes (s,), number of hops -> list of numbers. Gradients: model, graph -> list of numbers.
        label: label on axes and in tables.
        scale: scale of its axis.
        axis: index of its values and step in MLflow: `layer` or `hop`.
        when: `selected` for the tested weights, if the setting `measures` names it; gradients are always measured:
            before the first step, after the first epoch or after the last.
        cost: `low` for one pass over nodes or edges, `high` for one backward pass per node and channel.
        report: whether the report shows it.
    """

    name: str
    function: str | Callable[..., Any]
    label: str
    scale: Literal["linear", "log"] = "linear"
    axis: Literal["layer", "hop"] = "layer"
    when: Literal["selected", "start", "first epoch", "last epoch"] = "selected"
    cost: Literal["low", "high"] = "low"
    report: bool = True

    @property
    def metric(self) -> str:
        """Its name in MLflow."""
        return f"{self.axis}/{self.name}"

    @property
    def target(self) -> str:
        """The function's dotted name."""
        return (
            self.function if isinstance(self.function, str) else f"{self.function.__module__}.{self.function.__name__}"
        )

    def load(self) -> Callable[..., Any]:
        """The function itself."""
        if callable(self.function):
            return self.function
        module, _, name = self.function.rpartition(".")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


MEASURES: dict[str, Measure] = {}


def register(*measures: Measure) -> None:
    """Add measures to the registry of this process; reports show them in this order."""
    MEASURES.update({measure.name: measure for measure in measures})


def selectable(*axes: str) -> list[str]:
    """Names that the setting `measures` accepts, restricted to these axes if any are given."""
    chosen = [measure for measure in MEASURES.values() if measure.when == "selected"]
    return [measure.name for measure in chosen if not axes or measure.axis in axes]


def check_by_layer(names: Iterable[str]) -> None:
    """Raise UserError for the first name that is not a measure by layer to select."""
    known = selectable("layer")
    for name in names:
        if name not in known:
            raise UserError(f"there is no measure by layer {name}: choose one of {', '.join(known)}")


def functions() -> list[str]:
    """The dotted names of all functions, for the code hash."""
    return sorted({measure.target for measure in MEASURES.values()})


def costly(names: Iterable[str]) -> list[str]:
    """The measures among `names` that can take minutes."""
    return [name for name in names if MEASURES[name].cost == "high"]


def in_report(axis: str = "layer", *, states: bool = False) -> list[Measure]:
    """The measures that the report shows; with `states` only measures of states, not of gradients."""
    shown = [measure for measure in MEASURES.values() if measure.report and measure.axis == axis]
    return [measure for measure in shown if measure.when == "selected" or not states]


_SMOOTHNESS, _RANK = "depthlab.measures.smoothness", "depthlab.measures.rank"
_GRADIENTS, _HOPS = "depthlab.training.gradients.training_gradient_norms", "depthlab.training.squashing"
register(
    Measure("dirichlet_energy", f"{_SMOOTHNESS}.dirichlet_energy", "Dirichlet energy", "log"),
    Measure("log10_dirichlet_energy", f"{_SMOOTHNESS}.log10_dirichlet_energy",
            "log10 of the Dirichlet energy, at least -40", report=False),
    Measure("dirichlet_energy_normalized", f"{_SMOOTHNESS}.dirichlet_energy_normalized",
            "Dirichlet energy of the normalised Laplacian", "log", report=False),
    Measure("rayleigh_quotient", f"{_SMOOTHNESS}.rayleigh_quotient", "Rayleigh quotient", "log"),
    Measure("mean_average_distance", f"{_SMOOTHNESS}.mean_average_distance", "mean average distance", report=False),
    Measure("effective_rank", f"{_RANK}.effective_rank", "effective rank", "log"),
    Measure("stable_rank", f"{_RANK}.stable_rank", "stable rank", "log", report=False),
    Measure("gradient_norm_at_start", _GRADIENTS, "gradient norm before training", "log", when="start", report=False),
    Measure("gradient_norm_first_epoch", _GRADIENTS, "gradient norm, epoch 1", "log", when="first epoch"),
    Measure("gradient_norm", _GRADIENTS, "gradient norm after training", "log", when="last epoch", report=False),
    Measure("max_abs", "depthlab.measures.magnitude.max_abs", "largest |x|", "log"),
    Measure("sensitivity", f"{_HOPS}.sensitivity_by_hop", "sensitivity", "log", "hop", cost="high"),
    Measure("walk_weight", f"{_HOPS}.walk_weight_by_hop", "walks of P alone", "log", "hop"),
    Measure("bottleneck_ratio", f"{_HOPS}.bottleneck_ratio_by_hop", "nodes per channel", "log", "hop", report=False),
)  # fmt: skip

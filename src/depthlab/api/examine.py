"""`dl.examine`: measure the node states of any network on a graph by layer, with a verdict."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from depthlab.api.contexts import evaluation_mode, user_errors
from depthlab.api.initial_weights import has_initial_weights
from depthlab.api.inputs import Evaluation, Inputs, make_inputs
from depthlab.api.load import TrainedNetwork
from depthlab.api.tables import by_layer
from depthlab.config.errors import UserError
from depthlab.measures.diagnosis import EVIDENCE, Diagnosis, are_collapsed, describe_states, diagnose
from depthlab.measures.layers import layer_measures
from depthlab.measures.registry import MEASURES, check_by_layer
from depthlab.nn.execution import run
from depthlab.nn.module import ModuleNetwork
from depthlab.nn.network import Network
from depthlab.nn.observe import observe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

UNTRAINED = "untrained"
INITIAL = "every weight matrix still fills the range of its initialiser"
ROWS = 12  # layers in the printed table
USUAL = ("dirichlet_energy", "rayleigh_quotient", "mean_average_distance", "effective_rank")


@dataclass(frozen=True)
class Examination:
    """Measures of the node states of a network by layer, and a verdict.

    Attributes:
        name: class and depth of the network.
        depth: number of layers L.
        curves: the values of each measure by layer, 0 to L. With labels also the norm of the gradient of the loss with
            respect to each state: `gradient_norm_at_start` for an untrained network, else `gradient_norm`.
        verdict: one of `depthlab.measures.diagnosis.VERDICTS`, or `untrained`.
        evidence: the numbers behind the verdict, in a sentence.
        scores: `train_acc` and `val_acc` as fractions, or `train_mae` and `val_mae`; empty without labels.
    """

    name: str
    depth: int
    curves: dict[str, list[float]]
    verdict: str
    evidence: str
    scores: dict[str, float]

    def to_frame(self) -> "pd.DataFrame":
        """A row for each layer and a column for each measure."""
        return by_layer(self.curves)

    def plot(self) -> "Figure":
        """A figure with a panel for each measure. A notebook shows it, and `savefig` writes it to a file."""
        from depthlab.api.figure import layers

        return layers(self.curves, f"{self.name}: {self.verdict}")

    def __repr__(self) -> str:
        frame = self.to_frame()
        if len(frame) > ROWS:  # the first layers, the last layers, and about eight in between
            frame = frame.loc[sorted({0, 1, self.depth - 1, self.depth, *range(0, self.depth, -(-self.depth // 8))})]
        labels = {name: MEASURES[name].label for name in frame.columns}
        table = frame.reset_index().rename(columns=labels).to_string(index=False, float_format="{:.4g}".format)
        return f"{self.name}: {self.verdict}\n  {self.evidence}\n{table}"

    def _repr_html_(self) -> str:
        head = f"<b>{html.escape(self.name)}: {self.verdict}</b><br>{html.escape(self.evidence)}"
        return f"{head}{self.to_frame().to_html(float_format='{:.4g}'.format)}"


def examine(
    model: "nn.Module | TrainedNetwork",
    data: Any = None,
    *,
    layers: str | None = None,
    measures: Sequence[str] | None = None,
    is_trained: bool | None = None,
) -> Examination:
    """Measure the node states of a network by layer in evaluation mode, and give a verdict.

    State l is the input of message-passing layer l + 1. The last state is the input of the first module after the last
    layer, or the output of the network; it is left out if it is already pooled over the graphs of a batch. The network,
    its mode and the random numbers are not changed.

    The verdict follows the rules of `depthlab.measures.diagnosis`, as far as they need no training history:

    - `untrained`: the network has not learnt, and every weight matrix still fills the range of its initialiser;
    - `healthy` or `over-fitted`: from the scores of training and validation nodes;
    - `over-smoothed`: the network has not learnt, and its states have collapsed;
    - `unknown`: there are no labels (the evidence still says whether the states collapse), or `untrainable` and
      `under-fitted` cannot be distinguished without the gradient after the first epoch, which `dl.train` records.

    Args:
        model: any `nn.Module` with PyG message-passing layers. It is called as `forward(x, edge_index)` or
            `forward(data)`; `edge_weight` and `batch` are passed if `forward` has these arguments and the data contain
            them. Or a `depthlab.nn.network.Network`, or the result of `dl.load`, which includes the gradients after the
            first epoch.
        data: None for the dataset of a loaded run. Else a PyG `Data` with x (n, f), edge_index (2, m) and optionally
            y (n,), train_mask and val_mask; or a list of them, as one batch; or a `Dataset`; or a graph that
            `depthlab.data.convert.to_dataset` accepts. Only the first split is used.
        layers: pattern of the names of the modules that are layers, such as `blocks.*`; by default PyG's
            message-passing layers.
        measures: names of measures by layer (`dl.measures.MEASURES`); those that the verdict needs are always added.
        is_trained: whether the network is trained; by default this is derived from its weights.

    Raises:
        UserError: the network has no message-passing layers, cannot be called, or returns another number of rows; the
            data are not a graph with features; there is no such measure.
    """
    names = _names(measures)
    with user_errors():
        if isinstance(model, TrainedNetwork):
            known = model.is_trained if is_trained is None else is_trained
            return _examine(model.network, model.inputs(data), layers, names, known, model.gradients)
        if not isinstance(model, nn.Module):
            raise UserError(f"dl.examine needs a torch.nn.Module, got {type(model).__name__}")
        if data is None:
            raise UserError("dl.examine needs a graph for this network: dl.examine(model, data)")
        return _examine(model, make_inputs(data), layers, names, is_trained, {})


def _examine(
    model: nn.Module,
    inputs: Inputs,
    layers: str | None,
    names: Sequence[str],
    is_trained: bool | None,
    history: Mapping[str, list[float]],
) -> Examination:
    extra = 0 if inputs.prepared is None else inputs.prepared.new_nodes  # rows that a rewiring added
    with evaluation_mode(model), torch.enable_grad():
        output, states = _pass(model, inputs.to(_device(model)), layers)
        output = output[: len(output) - extra]
        evaluation = inputs.evaluate(output.detach().cpu())
        gradients = _gradients(evaluation.loss(output), states) if evaluation else []
    with torch.no_grad():
        kept = [state.detach().cpu()[: len(state) - extra] for state in states]
        if inputs.batch is not None and len(kept) > 2 and len(kept[-1]) != inputs.num_nodes:
            kept.pop()
        for number, state in enumerate(kept):
            if len(state) != inputs.num_nodes:
                raise UserError(
                    f"state {number} of {type(model).__name__} has {len(state)} rows, the graph has {inputs.num_nodes}"
                    " nodes: choose layers before a pooling with layers=PATTERN"
                )
        curves = layer_measures(kept, inputs.undirected, names) | dict(history)
    untrained = has_initial_weights(model) if is_trained is None else not is_trained
    diagnosis = _diagnose(evaluation, curves, untrained)
    if gradients:
        start = diagnosis.verdict == UNTRAINED
        curves["gradient_norm_at_start" if start else "gradient_norm"] = gradients
    depth = len(kept) - 1
    kind = model.name if isinstance(model, ModuleNetwork) else type(model).__name__
    name = f"{kind}, {depth} layer{'s' * (depth != 1)} on {inputs.num_nodes:,} nodes"
    return Examination(
        name, depth, curves, *(diagnosis.verdict, diagnosis.evidence), evaluation.scores if evaluation else {}
    )


def _names(measures: Sequence[str] | None) -> list[str]:
    check_by_layer(measures or ())
    return list(dict.fromkeys([*(USUAL if measures is None else measures), *EVIDENCE]))


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _pass(model: nn.Module, inputs: Inputs, layers: str | None) -> tuple[Tensor, list[Tensor]]:
    """The output and the states of a forward pass, in the autograd graph."""
    if isinstance(model, Network):
        seen: list[Tensor] = []
        graph = inputs.graph()
        return run(model, inputs.x, graph.layers, lambda _, state: seen.append(state)), seen
    with observe(model, layers) as states:
        return inputs.call(model), list(states)


def _gradients(loss: Tensor, states: Sequence[Tensor]) -> list[float]:
    """Norm of the loss's gradient with respect to each state; 0 where it does not depend on it."""
    needed = [state for state in states if state.requires_grad]
    if not (loss.requires_grad and needed):
        return []
    found = iter(torch.autograd.grad(loss, needed, allow_unused=True))
    each = [next(found) if state.requires_grad else None for state in states]
    return [0.0 if gradient is None else float(gradient.norm()) for gradient in each]


def _diagnose(
    evaluation: Evaluation | None, curves: Mapping[str, Sequence[float]], untrained: bool | None
) -> Diagnosis:
    """The verdict of a network without a training history. `untrained` is None if this is unknown."""
    collapse = "; its states collapse" if are_collapsed(curves) else ""
    if evaluation is None:
        if not all(map(math.isfinite, curves["dirichlet_energy"])):
            return diagnose(0.0, None, 0.0, curves)  # diverged
        if untrained:
            return Diagnosis(UNTRAINED, f"{INITIAL}{describe_states(curves)}{collapse}")
        without = "there are no labels to tell whether it has learnt"
        return Diagnosis("unknown", f"{without}{describe_states(curves)}{collapse}")
    found = diagnose(evaluation.train, evaluation.val, evaluation.chance, curves, metric=evaluation.metric)
    if found.verdict in ("healthy", "over-fitted", "diverged"):
        return found
    if untrained:
        metric = evaluation.metric
        score = f"training score {metric.shown(evaluation.train)} (guessing {metric.shown(evaluation.chance)})"
        return Diagnosis(UNTRAINED, f"{INITIAL}; {score}{describe_states(curves)}{collapse}")
    if untrained is None:
        return replace(found, evidence=f"{found.evidence}; its weights do not show whether it is trained")
    return found

"""One training of a trial, on training and validation data only."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.data.prepare import load
from depthlab.measures.layers import layer_measures
from depthlab.nn.execution import states
from depthlab.sweep.prune import PruneCallback
from depthlab.tracking.names import EPOCH
from depthlab.tracking.record import EpochRecord
from depthlab.tracking.run import TrackedRun
from depthlab.training.experiment import experiment
from depthlab.training.fit import make_fit


class TrialEndingError(Exception):
    """A training ends its trial.

    Args:
        outcome: `pruned`, `diverged`, `refused` (the network cannot work with these settings) or `undefined` (an
            objective is not a number).
        reason: why, or where the trial was pruned.
    """

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def train(
    settings: Settings,
    objectives: Sequence[str],
    tracked: TrackedRun,
    label: str,
    pruning: PruneCallback | None = None,
) -> dict[str, float]:
    """Train once; returns the scores of the selected epoch on validation data, and the other objectives.

    Args:
        tracked: gets the curves by epoch as `LABEL/val_acc`.
        pruning: may end the training.
    """
    load(settings.dataset)  # outside the try: a file that cannot be read is not the fault of these settings
    try:
        made = experiment(settings)
    except UserError as error:
        raise TrialEndingError("refused", str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        curves, extra = _Curves(tracked, label), [pruning] if pruning else []
        fit = make_fit(settings, made.module, made.batches, curves, Path(folder), {}, extra)
        if pruning:
            pruning.fit = fit
        fit.run(made.module)
    if pruning and pruning.pruned:
        raise TrialEndingError("pruned", pruning.pruned)
    if fit.best.diverged:
        raise TrialEndingError("diverged", f"at epoch {len(fit.recorder.history)}")
    scores = fit.recorder.history[fit.best.epoch] | {"seconds": fit.recorder.seconds}
    if "dirichlet_energy" in objectives:
        model, graph = made.module.eval(), made.graph
        model.load_state_dict(fit.best.weights)
        seen = states(model.network, graph.x, graph.layers)
        energies = layer_measures(seen, graph.undirected_edges, ["dirichlet_energy"], graph.num_nodes)
        scores["dirichlet_energy"] = energies["dirichlet_energy"][-1]
    for name in objectives:
        if math.isnan(scores[name]):  # Optuna refuses NaN
            raise TrialEndingError("undefined", f"{name} is not a number")
    return scores


class _Curves(EpochRecord):
    """Records the curves of a training on the trial's run, under the training's label.

    An interrupted training starts from the beginning, so steps that the run already has are not sent again.
    """

    def __init__(self, tracked: TrackedRun, label: str) -> None:
        self.tracked, self.label = tracked, label
        self.run_id, self.name = tracked.run_id, f"{tracked.name} {label}"
        self._sent: dict[str, int] = {}

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        named = {f"{self.label}/{name.removeprefix(EPOCH)}": value for name, value in metrics.items()}
        if self.tracked.resumed:
            for name in named.keys() - self._sent.keys():
                self._sent[name] = self.tracked.last_step(name)
        self.tracked.log({name: value for name, value in named.items() if step > self._sent.get(name, -1)}, step)

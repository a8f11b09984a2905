"""One of several runs that are trained together: what it finds, keeps and records is what it would alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor

from depthlab.config.schema import Settings
from depthlab.files import save_torch
from depthlab.graph.graph import Graph
from depthlab.tracking.run import TrackedRun
from depthlab.training.callbacks import BestState, FirstEpoch, Recorder
from depthlab.training.experiment import Experiment
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.identity import LAST
from depthlab.training.module import TrainingModule
from depthlab.training.result import Result, evaluate, record
from depthlab.training.stacked import Replicas


@dataclass
class Member:
    """A run among replicas; `best`, `recorder` and `first` are the callbacks of a run by itself.

    Attributes:
        settings, provenance, labels: as for `depthlab.training.run.run`.
        folder: its own checkpoints'.
        identity: what these have to agree with.
        experiment: its network, initialised, of its own for measures, and its graph with its split.
        content: of the checkpoint that it goes on with, else None.
        seconds: its share of the time of all epochs so far.
    """

    settings: Settings
    provenance: Mapping[str, str]
    labels: dict[str, str]
    folder: Path
    identity: dict[str, str]
    experiment: Experiment
    content: dict[str, Any] | None
    seconds: float = 0.0
    tracked: TrackedRun = field(init=False)
    result: Result = field(init=False)
    best: BestState = field(init=False)
    recorder: Recorder = field(init=False)
    first: FirstEpoch = field(init=False)

    @property
    def model(self) -> TrainingModule:
        return self.experiment.module

    @property
    def graph(self) -> Graph:
        return self.experiment.graph

    @property
    def epochs(self) -> int:
        """How many are done, of those in the checkpoint if there is one."""
        return len(self.content["callbacks"]["Recorder"]["history"]) if self.content else 0

    def begin(self) -> None:
        """Record in `tracked` from here on; takes over what a checkpoint holds."""
        tracked = self.tracked
        self.result = Result(tracked.name, "finished", tracked.uri, tracked.experiment_id, tracked.run_id)
        self.best = BestState(self.settings.monitor, self.settings.patience)
        self.recorder = Recorder(tracked, self.identity)
        self.first = FirstEpoch(lambda: training_gradient_norms(self.model, self.graph))
        if self.content:
            self.model.load_state_dict(self.content["state_dict"])
            for callback in (self.best, self.recorder, self.first):
                callback.load_state_dict(self.content["callbacks"][type(callback).__name__])
        self.seconds = self.recorder.seconds
        self.best.on_train_start(NO_TRAINER, self.model)
        self.recorder.on_train_start(NO_TRAINER, self.model)
        self.first.on_train_start(SimpleNamespace(current_epoch=self.epochs), self.model)

    @property
    def ended(self) -> bool:
        """Whether its training has come to its end."""
        return self.best.stopped or len(self.recorder.history) >= self.settings.epochs

    def see(self, epoch: int, scores: dict[str, Tensor], weights: dict[str, Tensor], seconds: float) -> None:
        """What the callbacks do at the end of an epoch."""
        trainer: Any = SimpleNamespace(current_epoch=epoch, should_stop=False)
        model: Any = SimpleNamespace(scores=scores, state_dict=lambda: weights)
        self.best.on_train_epoch_end(trainer, model)
        self.recorder.on_train_epoch_end(trainer, model)
        self.seconds += seconds
        self.recorder.seconds = self.seconds
        if epoch == 0:
            self.model.load_state_dict(weights)
        self.first.on_train_epoch_end(trainer, model)

    def save(self, replicas: Replicas, place: int) -> None:
        """Write the checkpoint that this run would have written by itself, and can be gone on with by itself."""
        content = lightning_checkpoint(len(self.recorder.history), self.settings.epochs)
        callbacks = (self.best, self.recorder, self.first)
        content["callbacks"] = {type(callback).__name__: callback.state_dict() for callback in callbacks}
        content["state_dict"] = {name: value.clone() for name, value in replicas.weights(place).items()}
        optimizer = self.model.configure_optimizers().state_dict()
        content["optimizer_states"] = [optimizer | {"state": dict(enumerate(replicas.moments(place)))}]
        save_torch(content, self.folder / LAST)

    def finish(self, weights: dict[str, Tensor]) -> Result:
        """Measure, test and record as a run by itself does; `weights` are those after the last epoch."""
        self.model.load_state_dict(weights)
        self.result.statistics |= self.experiment.data.rewired.statistics
        evaluate(self, self.model, self.experiment.batches, self.settings.measures, self.result)
        record(self.model, self.graph, self.settings, self.tracked, self.result, self.folder)
        (self.folder / LAST).unlink(missing_ok=True)
        return self.result


NO_TRAINER: Any = None


def lightning_checkpoint(epochs: int, limit: int) -> dict[str, Any]:
    """What Lightning writes of its loops after so many epochs of one step each: such a checkpoint it goes on with."""
    alone = [LightningEnvironment()]  # as in `depthlab.training.fit`
    trainer = pl.Trainer(max_epochs=limit, accelerator="cpu", plugins=alone, logger=False, enable_progress_bar=False)
    loop = trainer.fit_loop.state_dict()
    done = dict.fromkeys(("ready", "started", "processed", "completed"), epochs)
    once = dict.fromkeys(done, 1)
    loop["epoch_progress"] = {"total": done, "current": done}
    loop["epoch_loop.batch_progress"] |= {"total": done, "current": once, "is_last_batch": True}
    loop["epoch_loop.state_dict"] = {"_batches_that_stepped": epochs}
    steps = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for name, progress in steps.items():
        keys = progress["total"]
        steps[name] = {"total": dict.fromkeys(keys, epochs), "current": dict.fromkeys(keys, 1)}
    return {
        "epoch": epochs,
        "global_step": epochs,
        "pytorch-lightning_version": pl.__version__,
        "loops": {"fit_loop": loop},
        "lr_schedulers": [],
    }

"""One of the runs that are trained together; it selects, records and saves like an ordinary run."""

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
from depthlab.tracking.record import CombinedRecord
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
    """A run that is trained with others; `best`, `recorder` and `first` are the callbacks of an ordinary run.

    Attributes:
        settings, provenance, labels: as for `depthlab.training.run.run`.
        folder: folder of its checkpoints.
        identity: hashes that must agree with those of a resumed checkpoint.
        experiment: its data, its split, and its network, which is used for the measures.
        content: content of the checkpoint that it resumes from, or None.
        seconds: its share of the training time so far.
    """

    settings: Settings
    provenance: Mapping[str, str]
    labels: dict[str, str]
    folder: Path
    identity: dict[str, str]
    experiment: Experiment
    content: dict[str, Any] | None
    seconds: float = 0.0
    tracked: TrackedRun | CombinedRecord = field(init=False)
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
        """Number of epochs in the checkpoint, 0 without one."""
        return len(self.content["callbacks"]["Recorder"]["history"]) if self.content else 0

    def begin(self) -> None:
        """Start recording in `tracked`, from the state of the checkpoint if there is one."""
        self.result = Result.of(self.tracked)
        self.best = BestState(self.settings.monitor, self.settings.patience)
        self.recorder = Recorder(self.tracked, self.identity)
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
        """Whether its training is complete."""
        return self.best.stopped or len(self.recorder.history) >= self.settings.epochs

    def end_epoch(self, epoch: int, scores: dict[str, Tensor], weights: dict[str, Tensor], seconds: float) -> None:
        """Run the callbacks of the end of an epoch."""
        trainer: Any = SimpleNamespace(current_epoch=epoch, should_stop=False)
        model: Any = SimpleNamespace(scores=scores, state_dict=lambda: weights)
        self.best.on_train_epoch_end(trainer, model)
        self.recorder.on_train_epoch_end(trainer, model)
        self.seconds += seconds
        self.recorder.seconds = self.seconds
        if epoch == 0:
            self.model.load_state_dict(weights)
        self.first.on_train_epoch_end(trainer, model)

    def save(self, replicas: Replicas, index: int) -> None:
        """Write the checkpoint that an ordinary run would write; an ordinary run can resume from it."""
        content = lightning_checkpoint(len(self.recorder.history), self.settings.epochs)
        callbacks = (self.best, self.recorder, self.first)
        content["callbacks"] = {type(callback).__name__: callback.state_dict() for callback in callbacks}
        content["state_dict"] = {name: value.clone() for name, value in replicas.weights(index).items()}
        optimizer = self.model.make_optimizer().state_dict()
        content["optimizer_states"] = [optimizer | {"state": dict(enumerate(replicas.moments(index)))}]
        save_torch(content, self.folder / LAST)

    def finish(self, weights: dict[str, Tensor]) -> Result:
        """Measure, test and record as an ordinary run does; `weights` are those after the last epoch."""
        self.model.load_state_dict(weights)
        self.result.statistics |= self.experiment.data.rewired.statistics
        evaluate(self, self.model, self.experiment.batches, self.settings.measures, self.result)
        record(self.experiment, self.settings, self.tracked, self.result, self.folder)
        (self.folder / LAST).unlink(missing_ok=True)
        return self.result


NO_TRAINER: Any = None


def lightning_checkpoint(epochs: int, limit: int) -> dict[str, Any]:
    """The state of Lightning's loops after `epochs` epochs of one step each, from which Lightning can resume."""
    plugins = [LightningEnvironment()]  # as in `depthlab.training.fit`
    trainer = pl.Trainer(max_epochs=limit, accelerator="cpu", plugins=plugins, logger=False, enable_progress_bar=False)
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

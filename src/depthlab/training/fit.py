"""Lightning's trainer, configured for a run."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerStatus
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.graph.batches import Batches
from depthlab.tracking.record import EpochRecord
from depthlab.training.allocator import tune_allocator
from depthlab.training.callbacks import BestState, Evaluation, FirstEpoch, Recorder, Saver, Schedule
from depthlab.training.checkpoint import CheckpointFile
from depthlab.training.device import batches_on
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.identity import LAST
from depthlab.training.module import TrainingModule
from depthlab.training.progress import EpochBar
from depthlab.training.ranks import cluster_environment, is_main
from depthlab.training.signals import handling_signals, interruption_message
from depthlab.training.user_callbacks import make_callbacks


@dataclass
class Fit:
    """A trainer, its loader, and the callbacks whose state is read after the fit."""

    trainer: pl.Trainer
    loader: Batches
    best: BestState
    recorder: Recorder
    first: FirstEpoch
    saver: Saver

    def run(self, model: TrainingModule, checkpoint: Path | None = None) -> None:
        """Train, from a checkpoint if there is one.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM, at the end of the epoch and with a checkpoint written; a second
                signal, more than a second later, raises it at once.
        """
        try:
            with handling_signals(self.saver.handler):
                self.trainer.fit(model, self.loader, ckpt_path=checkpoint, weights_only=True)
        except MisconfigurationException as error:
            raise UserError(f"a callback cannot be used: {' '.join(str(error).split())}") from None
        except SystemExit:
            if self.trainer.state.status != TrainerStatus.INTERRUPTED:  # not Lightning's way to end after Ctrl-C
                raise
            raise KeyboardInterrupt(interruption_message(self.saver.path, len(self.recorder.history))) from None
        if self.saver.requested:  # after the last epoch
            raise KeyboardInterrupt(interruption_message(self.saver.path, len(self.recorder.history)))

    def ended(self, content: dict[str, Any]) -> bool:
        """Whether the training in a checkpoint is complete."""
        saved = content["callbacks"]
        stopped = any(saved.get(callback, {}).get("stopped") for callback in ("BestState", "Saver"))
        return stopped or len(saved["Recorder"]["history"]) >= self.trainer.max_epochs

    def restore(self, model: TrainingModule, content: dict[str, Any]) -> bool:
        """Restore a checkpoint whose training is complete; returns False if it is not."""
        saved = content["callbacks"]
        if not self.ended(content):
            return False
        model.load_state_dict(content["state_dict"])
        for callback in (self.best, self.recorder, self.first):
            callback.load_state_dict(saved[type(callback).__name__])
        self.recorder.replay()
        return True


def make_fit(
    settings: Settings,
    model: TrainingModule,
    batches: Batches,
    tracked: EpochRecord,
    folder: Path,
    identity: dict[str, str],
    extra: Sequence[Callback] = (),
) -> Fit:
    """The trainer of a run. Checkpoints go to `folder` and contain `identity`; `extra` callbacks run last."""
    tune_allocator(model, batches.probe.num_nodes, settings.memory)
    best = BestState(settings.monitor, settings.patience)
    recorder = Recorder(tracked, identity)
    ddp, main = settings.trainer.strategy == "ddp", is_main(settings.trainer)
    trained = batches_on(batches, torch.device("cuda")) if settings.trainer.accelerator == "gpu" else batches
    model.precision = settings.trainer.precision
    first = FirstEpoch(lambda: training_gradient_norms(model, trained.probe) if main else [])
    saver = Saver(folder / LAST, settings.checkpoint_every)
    own = make_callbacks(settings)
    evaluation, schedule = Evaluation(trained, publish=bool(own)), Schedule(settings.monitor)
    callbacks = [evaluation, schedule, best, recorder, first, saver, *own, *extra]
    if settings.progress and main:
        callbacks.append(EpochBar(tracked.name, best, model.task.metric))
    trainer = pl.Trainer(
        accelerator=settings.trainer.accelerator,
        devices=settings.trainer.devices,
        num_nodes=settings.trainer.num_nodes,
        strategy="ddp" if ddp else "auto",
        # a run of one process in a SLURM job has one rank, whatever the job's environment variables say
        plugins=[CheckpointFile(), cluster_environment() if ddp else LightningEnvironment()],
        use_distributed_sampler=False,  # each rank has its share of the batches already
        max_epochs=settings.epochs,
        callbacks=callbacks,
        logger=tracked.loggers() if own else False,  # `Recorder` records the metrics
        limit_val_batches=0,  # `Evaluation` validates
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return Fit(trainer, trained, best, recorder, first, saver)


def quiet_libraries() -> None:
    """Suppress warnings that do not apply to full-batch training, and flush denormal numbers to zero.

    Beyond some 800 layers gradients fall below 1e-38. These numbers are denormal in float32, and a CPU is six times
    slower with them: a step of GCNII-1024 on Cora took 13 s with denormal numbers and takes 2.2 s with zeros.
    """
    torch.set_flush_denormal(True)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*(Sparse CSR|[Ss]parse invariant).*")

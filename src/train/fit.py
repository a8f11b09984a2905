"""Lightning's trainer as a run uses it: full-batch, quiet, resumable."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerStatus

from src.graph.graph import Graph
from src.models.base import NodeClassifier
from src.tracking.run import TrackedRun
from src.train.callbacks import BestState, EpochBar, FirstEpoch, Recorder, Saver
from src.train.gradients import training_gradient_norms
from src.train.identity import LAST


class OneGraph:
    """The data loader of full-batch training: the whole graph, once an epoch."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __iter__(self) -> Iterator[Graph]:
        yield self.graph

    def __len__(self) -> int:
        return 1


@dataclass
class Fit:
    """A trainer, its loader, and the callbacks whose findings are read after the fit."""

    trainer: pl.Trainer
    loader: OneGraph
    best: BestState
    recorder: Recorder
    first: FirstEpoch

    def run(self, model: NodeClassifier, checkpoint: Path | None = None) -> None:
        """Train, from a checkpoint if there is one; Ctrl-C becomes a KeyboardInterrupt after saying how to go on."""
        try:
            self.trainer.fit(model, self.loader, self.loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            if self.trainer.state.status != TrainerStatus.INTERRUPTED:  # not Lightning's way to end after Ctrl-C
                raise
            epochs = len(self.recorder.history)
            print(f"\ninterrupted after {epochs} epochs: go on with the same command and ckpt=last", file=sys.stderr)
            raise KeyboardInterrupt from None


def make_fit(
    settings: dict[str, Any],
    model: NodeClassifier,
    graph: Graph,
    tracked: TrackedRun,
    folder: Path,
    extra: Sequence[Callback] = (),
) -> Fit:
    """The trainer of a run; checkpoints go to `folder`, `extra` callbacks come last."""
    best = BestState(settings["monitor"], settings["patience"])
    recorder = Recorder(tracked)
    first = FirstEpoch(lambda: training_gradient_norms(model, graph))
    callbacks = [best, recorder, first, Saver(folder / LAST, settings["checkpoint_every"]), *extra]
    if settings["progress"]:
        callbacks.append(EpochBar(tracked.name, best))
    trainer = pl.Trainer(
        accelerator=settings["trainer"]["accelerator"],
        devices=1,
        max_epochs=settings["epochs"],
        callbacks=callbacks,
        logger=False,  # the recorder writes, buffered
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return Fit(trainer, OneGraph(graph), best, recorder, first)


def quiet_libraries() -> None:
    """Hold back advice of the libraries that does not apply to full-batch training."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*(Sparse CSR|[Ss]parse invariant).*")

"""The progress bar of a run, and of replicas."""

import math
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from torch import Tensor

from depthlab.training.callbacks import BestState
from depthlab.training.member import Member


class EpochBar(Callback):
    """One bar over all epochs, redrawn at most twice a second, because drawing it takes some milliseconds.

    Without a terminal, a line is printed every 30 seconds.
    """

    def __init__(self, name: str, best: BestState, metric: str) -> None:
        self.name, self.best, self.metric = name, best, metric
        long, short = Column(no_wrap=True, ratio=1), Column(no_wrap=True, min_width=11)  # a narrow terminal cuts text
        text = TextColumn("{task.description}", style="progress.description", table_column=long, markup=False)
        columns = MofNCompleteColumn(table_column=short), TimeRemainingColumn(), BarColumn(bar_width=12), text
        self.bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, expand=True)
        self._drawn = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        self.bar.start()
        self._done = trainer.current_epoch
        self.task = self.bar.add_task(self.name, total=trainer.max_epochs, completed=self._done)

    def on_train_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        self._done = trainer.current_epoch + 1
        interactive, now = self.bar.console.is_interactive, time.monotonic()
        if now - self._drawn > (0.5 if interactive else 30.0):
            self._drawn = now
            self._draw(model)
            if not interactive:
                task = self.bar.tasks[self.task]
                print(f"{self._done} of {task.total} epochs: {task.description}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, model: Any) -> None:
        self._draw(model)
        self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, model: Any, exception: BaseException) -> None:
        self.bar.stop()

    def _draw(self, model: Any) -> None:
        loss, value = (float(model.scores.get(key, math.nan)) for key in ("train_loss", f"val_{self.metric}"))
        text = f"loss {loss:.3f}  val {self.metric} {value:.3f}  best at {self.best.epoch}  {self.name}"
        self.bar.update(self.task, completed=self._done, description=text)
        self.bar.refresh()


class ReplicasBar(EpochBar):
    """The bar for runs that are trained together; loss and score are those of the first unfinished run."""

    def __init__(self, members: Sequence[Member], start: int) -> None:
        super().__init__(f"{len(members)} replicas", members[0].best, members[0].model.task.metric)
        self._trainer = SimpleNamespace(current_epoch=start, max_epochs=members[0].settings.epochs)
        self.on_train_start(self._trainer, None)

    def show(self, epoch: int, members: Sequence[Member], scores: Sequence[dict[str, Tensor]], now: bool) -> None:
        """Advance by an epoch; draw at once if `now`, otherwise when the next drawing is due."""
        self.name, self.best, self._trainer.current_epoch = f"{len(members)} replicas", members[0].best, epoch
        loss = members[0].recorder.history[-1]["train_loss"]
        model = SimpleNamespace(scores={"train_loss": loss} | scores[0])
        self.on_train_epoch_end(self._trainer, model)
        if now:
            self._draw(model)

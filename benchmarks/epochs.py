"""What Lightning, tracking and validation add to the bare step and one evaluation pass."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.steps import our_step
from depthlab.address import sqlite_address
from depthlab.config.compose import compose_settings
from depthlab.tracking.run import TrackedRun
from depthlab.training.experiment import experiment
from depthlab.training.fit import make_fit


class Interleaved(Callback):
    """Between two epochs of a real run, times a bare step and a bare evaluation on a second model."""

    def __init__(self, step: Callable[[], None], evaluate: Callable[[], object]) -> None:
        self.bare: dict[str, Callable[[], object]] = {"step": step, "evaluate": evaluate}
        self.seconds: dict[str, list[float]] = {"epoch": [], "step": [], "evaluate": []}
        self._start = 0.0

    def on_train_epoch_start(self, trainer: object, pl_module: object) -> None:
        now = time.perf_counter()
        if self._start:
            self.seconds["epoch"].append(now - self._start)
        for name, call in self.bare.items():
            start = time.perf_counter()
            with torch.inference_mode(name == "evaluate"):
                call()
            self.seconds[name].append(time.perf_counter() - start)
        self._start = time.perf_counter()


def epoch_overhead(depth: int, epochs: int) -> tuple[float, float, float]:
    """Mean seconds of a whole epoch, and of a bare step and a bare evaluation pass interleaved with it.

    The epoch is what `python -m src.train` runs: Lightning's loop, validation, stopping, best state, the recorder with
    a real SQLite store. Means, not medians: batches are sent to the store only now and then, and count.
    """
    settings = compose_settings(["model=gcnii", f"depth={depth}", f"epochs={epochs}", f"patience={epochs}"])
    made, bare, evaluated = (experiment(settings) for _ in range(3))
    graph = made.graph
    evaluated.module.eval()
    interleaved = Interleaved(our_step(bare.module, graph), lambda: evaluated.module.infer(graph))
    with tempfile.TemporaryDirectory() as folder:
        tracked = TrackedRun(sqlite_address(Path(folder, "mlflow.db")), "bench", "bench", {}, {})
        fit = make_fit(settings, made.module, made.batches, tracked, Path(folder), {}, [interleaved])
        fit.run(made.module)
        tracked.finish("FINISHED", "finished")
    epoch, step, evaluation = (statistics.fmean(values[5:]) for values in interleaved.seconds.values())
    return epoch, step, evaluation

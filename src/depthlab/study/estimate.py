"""Estimates how long planned runs take: from recorded runs of the same kind, or from a few timed steps."""

import statistics
import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.study.grid import AXES, PlannedRun
from depthlab.study.plan import Plan
from depthlab.training.experiment import experiment

OVERHEAD = 1.0  # seconds of a run besides its epochs: recording, measures, one test
PATIENCES = 4  # assumed length of a training, in units of its patience
STEPS, LONGEST = 3, 5.0  # timed steps, after one to warm up; seconds after which fewer steps suffice
Kind = TypeVar("Kind")


def estimate(plan: Plan) -> dict[str, float]:
    """Seconds of each run to do, by its hash.

    Runs of one kind differ in depth, seed and split alone; time is assumed to be linear in depth. The estimate is the
    mean of the recorded runs of the kind. Without one, some steps of the deepest run are timed and multiplied by a
    usual number of steps, which can be wrong by a factor of three.
    """
    known: dict[str, dict[int, list[float]]] = {}
    for run in plan.runs:
        if run.hash in plan.done:
            depths = known.setdefault(_alike(run), {})
            depths.setdefault(run.depth, []).append(plan.done[run.hash].training_seconds)
    failed: set[tuple[str, int]] = set()
    for run in sorted(plan.todo, key=lambda run: -run.depth):
        kind = _alike(run)
        if kind not in known and (kind, run.depth) not in failed:
            try:
                known[kind] = {run.depth: [_timed(run)]}
            except (UserError, RuntimeError, MemoryError):  # the run itself reports what is wrong
                failed.add((kind, run.depth))
    seconds = {}
    for run in plan.todo:
        depths = known.get(_alike(run), {run.depth: [0.0]})
        nearest = min(depths, key=lambda depth: abs(depth - run.depth))
        seconds[run.hash] = statistics.fmean(depths[nearest]) * (run.depth + 1) / (nearest + 1) + OVERHEAD
    return seconds


def _alike(run: PlannedRun) -> str:
    return config_hash(run.settings, without=AXES)


def _timed(run: PlannedRun) -> float:
    """Training steps and evaluations of a run's model, some seconds of them, times a usual number of epochs."""
    settings, made = run.settings, experiment(run.settings)
    model, batches = made.module, made.batches
    optimizer = model.make_optimizer()

    def train(graph: Graph) -> None:
        model.train()
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()

    def evaluate(graph: Graph | LargeGraph) -> None:
        model.eval()
        model.validation_step([graph])

    epochs = min(settings.epochs, PATIENCES * settings.patience)
    evaluations = sum(1 for _ in batches.validation)
    steps = [_seconds(train, lambda: batches), _seconds(evaluate, lambda: batches.validation)]
    return epochs * (len(batches) * steps[0] + evaluations * steps[1])


def _seconds(step: Callable[[Kind], None], graphs: Callable[[], Iterable[Kind]]) -> float:
    """Median time of one step, the making of its graph included, after one to warm up; there is at least one graph."""
    times: list[float] = []
    again = chain.from_iterable(graphs() for _ in range(STEPS + 1))
    while len(times) <= STEPS and sum(times) < LONGEST:
        start = time.perf_counter()
        step(next(again))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times)

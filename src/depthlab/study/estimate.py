"""How long cells may take: from cells like them that are done, else from a few steps."""

import statistics
import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.study.grid import AXES, Cell
from depthlab.study.plan import Plan
from depthlab.training.experiment import experiment

OVERHEAD = 1.0  # seconds of a cell besides its epochs: records, measures, one test
PATIENCES = 4  # length of a training that nothing is known about, in units of its patience
STEPS, LONGEST = 3, 5.0  # that are timed, after one to warm up; seconds after which fewer have to do
Kind = TypeVar("Kind")


def estimate(plan: Plan) -> dict[str, float]:
    """Seconds of each cell to do, by its hash.

    Cells that differ in depth, seed and split alone are alike; time is taken as linear in depth. Alike cells that are
    done give their mean; where there is none, the deepest one's steps are timed and a usual number of them assumed,
    which can be wrong by a factor of three.
    """
    known: dict[str, dict[int, list[float]]] = {}
    for cell in plan.cells:
        if cell.hash in plan.done:
            depths = known.setdefault(_alike(cell), {})
            depths.setdefault(cell.depth, []).append(plan.done[cell.hash].training_seconds)
    failed: set[tuple[str, int]] = set()
    for cell in sorted(plan.todo, key=lambda cell: -cell.depth):
        kind = _alike(cell)
        if kind not in known and (kind, cell.depth) not in failed:
            try:
                known[kind] = {cell.depth: [_timed(cell)]}
            except (UserError, RuntimeError, MemoryError):  # the cell itself will say what is wrong with it
                failed.add((kind, cell.depth))
    seconds = {}
    for cell in plan.todo:
        depths = known.get(_alike(cell), {cell.depth: [0.0]})
        nearest = min(depths, key=lambda depth: abs(depth - cell.depth))
        seconds[cell.hash] = statistics.fmean(depths[nearest]) * (cell.depth + 1) / (nearest + 1) + OVERHEAD
    return seconds


def _alike(cell: Cell) -> str:
    return config_hash({key: value for key, value in cell.settings.items() if key not in AXES})


def _timed(cell: Cell) -> float:
    """Training steps and evaluations of a cell's model, some seconds of them, times a usual number of epochs."""
    settings, made = cell.settings, experiment(cell.settings)
    model, batches = made.module, made.batches
    optimizer = model.configure_optimizers()

    def train(graph: Graph) -> None:
        model.train()
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()

    def evaluate(graph: Graph | LargeGraph) -> None:
        model.eval()
        model.validation_step([graph])

    epochs = min(settings["epochs"], PATIENCES * settings["patience"])
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

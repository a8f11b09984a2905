"""How long cells may take: from cells like them that are done, else from a few epochs."""

import statistics
import time
from collections import defaultdict

from src.data.prepare import load
from src.data.rewire import rewire
from src.errors import UserError
from src.settings import config_hash
from src.study.grid import AXES, Cell
from src.study.plan import Plan
from src.train.build import build_model

OVERHEAD = 1.0  # seconds of a cell besides its epochs: records, measures, one test
PATIENCES = 4  # length of a training that nothing is known about, in units of its patience
EPOCHS = 3  # that are timed, after one to warm up


def estimate(plan: Plan) -> dict[str, float]:
    """Seconds of each cell to do, by its hash.

    Cells that differ in depth, seed and split alone are alike; time is taken as linear in depth. Alike cells that are
    done give their mean; where there is none, the deepest one's epochs are timed and a usual number of them assumed,
    which can be wrong by a factor of three.
    """
    known: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in plan.cells:
        if cell.hash in plan.done:
            known[_alike(cell)][cell.depth].append(plan.done[cell.hash].training_seconds)
    for cell in sorted(plan.todo, key=lambda cell: -cell.depth):
        if _alike(cell) not in known:
            try:
                known[_alike(cell)][cell.depth].append(_timed(cell))
            except (UserError, RuntimeError, MemoryError):  # the cell itself will say what is wrong with it
                known[_alike(cell)][cell.depth].append(0.0)
    seconds = {}
    for cell in plan.todo:
        depths = known[_alike(cell)]
        nearest = min(depths, key=lambda depth: abs(depth - cell.depth))
        seconds[cell.hash] = statistics.fmean(depths[nearest]) * (cell.depth + 1) / (nearest + 1) + OVERHEAD
    return seconds


def _alike(cell: Cell) -> str:
    return config_hash({key: value for key, value in cell.settings.items() if key not in AXES})


def _timed(cell: Cell) -> float:
    """Training steps and evaluations of a cell's model, times a usual number of epochs."""
    settings = cell.settings
    dataset, data_hash = load(settings["dataset"])
    batches = rewire(dataset, data_hash, settings).batches
    model = build_model(settings, batches.probe, dataset.num_classes)
    optimizer = model.configure_optimizers()
    times = []
    for _ in range(1 + EPOCHS):
        start = time.perf_counter()
        model.train()
        for graph in batches:
            optimizer.zero_grad()
            model.training_step(graph).backward()
            optimizer.step()
        model.eval()
        model.validation_step(batches.validation)
        times.append(time.perf_counter() - start)
    epochs = min(settings["epochs"], PATIENCES * settings["patience"])
    return float(statistics.median(times[1:]) * epochs)

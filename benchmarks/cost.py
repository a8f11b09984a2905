"""`python -m benchmarks.cost`: what an epoch and its memory cost, against nodes, edges, depth and width.

GCN and GCNII on graphs of `dataset=sbm_large`, each measurement in a process of its own, on one thread. An epoch is a
training step and an evaluation of all nodes (the fastest of five after a first one), without what Lightning and MLflow
add; memory is the highest that is reached beyond graph and libraries, with `memory=full`. To both a sum of terms is
fitted whose amounts are counted, so that a coefficient is a property of the machine. Its error is that of predicting
each measurement from the others, and that of predicting the largest graphs from the smaller ones. Measurements are kept
in a file, and the same command goes on with those that are missing: it can be stopped at any time.
"""

import argparse
import contextlib
import csv
import ctypes
import itertools
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.fits import error, fit, left_out, shares
from benchmarks.rewiring import memory
from depthlab.config.compose import compose_settings
from depthlab.training.experiment import experiment, read_data
from depthlab.training.memory import estimate_memory

MODELS, SIZES, DEGREES = ("gcn", "gcnii"), (1_000, 5_000, 20_000, 100_000), (4, 20)
DEPTHS, WIDTHS = (2, 8, 32), (16, 64, 256)
MOST = 6e8  # depth x stored entries x width, beyond which a step takes many seconds
EPOCHS = 5
DENSE = 4  # products with weights of an epoch: three in a training step, one in the evaluation
SPARSE = {"gcn": 3, "gcnii": 4}  # with P: one fewer, but GCNII makes that of its forward pass once more


@dataclass(frozen=True)
class Measurement:
    """One measurement: `entries` are those of P, self-loops included, `cache` is a core's own, in bytes."""

    model: str
    nodes: int
    degree: int
    depth: int
    hidden: int
    entries: int = 0
    features: int = 0
    classes: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    estimate: float = 0.0
    cache: int = 0

    @property
    def asked(self) -> tuple[str, int, int, int, int]:
        return self.model, self.nodes, self.degree, self.depth, self.hidden


def grid() -> list[Measurement]:
    """Every second combination, like the fields of one colour of a chessboard; smaller ones first."""
    axes = (MODELS, SIZES, DEGREES, DEPTHS, WIDTHS)
    places = itertools.product(*(range(len(axis)) for axis in axes))
    measurements = [
        Measurement(MODELS[m], SIZES[n], DEGREES[k], DEPTHS[d], WIDTHS[h])
        for m, n, k, d, h in places
        if (m + n + k + d + h) % 2 == 0
    ]
    work = {m: m.depth * m.nodes * (m.degree + 1) * m.hidden for m in measurements}
    return sorted((m for m in measurements if work[m] <= MOST), key=lambda m: work[m])


def measure(m: Measurement) -> Measurement:
    """The measurement with its results."""
    warnings.filterwarnings("ignore", message=".*Sparse CSR.*")
    torch.set_num_threads(1)
    typed = [f"model={m.model}", f"depth={m.depth}", f"hidden={m.hidden}", "recipe=none", "memory=full"]
    settings = compose_settings(
        [*typed, "dataset=sbm_large", f"dataset.nodes={m.nodes}", f"dataset.degree={m.degree}", "dropout=0.5"]
    )
    data = read_data(settings)
    graph, times, before = data.graph, list[float](), 0.0
    small = replace(settings, hidden=4, depth=2)
    for chosen, epochs in ((small, 1), (settings, EPOCHS + 1)):  # the first loads libraries
        model = experiment(chosen, data).module
        optimizer = model.configure_optimizers()
        give_back_heap()
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
        for _ in range(epochs):
            start = time.perf_counter()
            optimizer.zero_grad()
            model.train().training_step(graph).backward()
            optimizer.step()
            with torch.inference_mode():
                model.eval().validation_step([graph])
            times.append(time.perf_counter() - start)
    peak = memory("VmHWM") - before
    estimate = estimate_memory(settings, graph, data.task(settings))["full"] / 1e6
    sizes = {
        "entries": graph.adjacency.values.numel(),
        "features": graph.x.shape[1],
        "classes": data.task(settings).outputs,
    }
    results = {"seconds": min(times[-EPOCHS:]), "megabytes": peak, "estimate": estimate, "cache": cache_bytes()}
    return Measurement(**asdict(m) | sizes | results)


def give_back_heap() -> None:
    """What the making of the graph has left free would otherwise be used again, and not be counted."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def cache_bytes() -> int:
    """Of a core's own last cache; one MB where the system does not tell."""
    try:
        return 1024 * int(Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip().rstrip("K"))
    except (OSError, ValueError):
        return 1 << 20


def widths(m: Measurement) -> tuple[list[tuple[int, int]], list[int]]:
    """(in, out) of every product with a weight, and the width of every propagation."""
    f, h, c, inner = m.features, m.hidden, m.classes, m.depth
    if m.model == "gcnii":
        return [(f, h), *[(h, h)] * inner, (h, c)], [h] * inner
    return [(f, h), *[(h, h)] * (inner - 2), (h, c)], [*[h] * (inner - 1), c]


def time_terms(m: Measurement) -> dict[str, float]:
    """Amounts of an epoch. A row that P gathers is in the cache with probability cache / states, if they exceed it."""
    products, propagations = widths(m)
    far = [max(0.0, 1 - m.cache / (4 * m.nodes * width)) for width in propagations]
    gathered = SPARSE[m.model] * m.entries
    return {
        "sparse product, entry x channel": gathered * sum(propagations),
        "the same, beyond the cache": gathered * sum(w * part for w, part in zip(propagations, far, strict=True)),
        "dense product, node x in x out": DENSE * m.nodes * sum(a * b for a, b in products),
        "states of the layers, node x channel": m.nodes * sum(propagations),
        "features and logits, node x channel": m.nodes * (m.features + m.classes),
        "a layer": m.depth,
        "an epoch": 1.0,
    }


def memory_terms(m: Measurement) -> dict[str, float]:
    """Megabytes of what is kept."""
    products, propagations = widths(m)
    return {
        "states, kept for every layer": 4e-6 * m.nodes * sum(propagations),
        "states, once": 4e-6 * m.nodes * max(propagations),
        "features and logits": 4e-6 * m.nodes * (m.features + m.classes),
        "weights": 4e-6 * sum(a * b for a, b in products),
        "in any case": 1.0,
    }


def report(measurements: list[Measurement], console: Console) -> None:
    """Coefficients, what they are made of, and how far predictions are from measurements."""
    for model, what in itertools.product(MODELS, ("seconds", "megabytes")):
        own = [m for m in measurements if m.model == model]
        if len(own) < 10:
            continue
        amounts = [time_terms(m) if what == "seconds" else memory_terms(m) for m in own]
        terms = np.array([list(row.values()) for row in amounts], float)
        measured = np.array([getattr(m, what) for m in own])
        coefficients = fit(terms, measured)
        table = Table("term", "coefficient", "mean share", "largest", title=f"{model}, {what}, {len(own)} measurements")
        for name, c, (mean, most) in zip(amounts[0], coefficients, shares(terms, coefficients), strict=True):
            table.add_row(name, f"{c:.3g}", f"{mean:.0%}", f"{most:.0%}")
        console.print(table)
        console.print(f"each predicted from the others: {error(left_out(terms, measured), measured)}")
        large = np.array([m.nodes == max(SIZES) for m in own])
        if large.any() and not large.all():
            beyond = terms[large] @ fit(terms[~large], measured[~large])
            console.print(f"{max(SIZES):,} nodes predicted from the smaller graphs: {error(beyond, measured[large])}")
        if what == "megabytes":
            console.print(f"depthlab.training.memory: {error(np.array([m.estimate for m in own]), measured)}")


def read(file: Path) -> list[Measurement]:
    """Measurements that are kept."""
    if not file.is_file():
        return []
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    kinds = {field.name: field.type for field in fields(Measurement)}
    return [Measurement(**{k: v if kinds[k] is str else kinds[k](v) for k, v in row.items()}) for row in rows]  # type: ignore


def append(file: Path, measurements: Iterable[Measurement]) -> None:
    """Keep each measurement as soon as it is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for m in measurements:
        new = not file.exists()
        with file.open("a", newline="") as lines:
            writer = csv.DictWriter(lines, [field.name for field in fields(Measurement)], lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(m).items()})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument(
        "--file", type=Path, default=Path("results/cost/measurements.csv"), help="where measurements are kept"
    )
    parser.add_argument("--read", action="store_true", help="only fit to what is there")
    options = parser.parse_args()
    console = Console(width=120)
    done = {m.asked for m in read(options.file)}
    missing = [] if options.read else [m for m in grid() if m.asked not in done]
    context = get_context("forkserver")  # libraries are loaded once, and no measurement sees another's heap
    context.set_forkserver_preload(["benchmarks.rewiring", "depthlab.training.memory"])
    with context.Pool(1, maxtasksperchild=1) as pool:
        for k, m in enumerate(pool.imap(measure, missing), 1):
            append(options.file, [m])
            console.print(f"{k}/{len(missing)}", *m.asked, f"{m.seconds:.4f} s {m.megabytes:.0f} MB")
    report(read(options.file), console)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.large`: time of an epoch and memory of GCNII-16 on large graphs, whole and in parts.

The graphs are `dataset=sbm_large` of 10,000, 100,000 and 1,000,000 nodes with ten times as many edges, generated where
they are not prepared yet. `full` trains on the whole graph at every step, `cluster` on batches of some 5,000 nodes and
those around them. Generation, training and evaluation are each measured in a process of their own, on as many threads
as there are cores: the median of three epochs after a first one, of a million nodes the first one alone, the steps
without validation; and one exact evaluation of all nodes. Memory is the highest that is reached beyond what is held
before, and in parentheses the part of it that is in no file, since pages of memory-mapped files can be given up at any
time. The time until all is ready holds the cut where it is not kept from before, and the estimate of memory. Give
sizes to leave some out, `python -m benchmarks.large 10000 100000`.
"""

import argparse
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.rewiring import memory
from depthlab.config.compose import compose_settings
from depthlab.config.schema import Settings
from depthlab.data.prepare import load
from depthlab.training.allocator import tune_allocator
from depthlab.training.experiment import experiment
from depthlab.training.fit import quiet_libraries
from depthlab.training.prepared import use_threads

SIZES = (10_000, 100_000, 1_000_000)
LOADERS = ("full", "cluster")
PART, BATCH_PARTS = 500, 10  # nodes of a part, parts of a batch
EPOCHS = 3
MANY = 1_000_000  # nodes from which on one epoch, the first, has to do


def settings_of(nodes: int, loader: str) -> list[str]:
    """What is typed for one measurement."""
    typed = ["dataset=sbm_large", f"dataset.nodes={nodes}", "model=gcnii", "depth=16"]
    parts = [f"loader.parts={nodes // PART}", f"loader.batch_parts={BATCH_PARTS}"] if loader == "cluster" else []
    return [*typed, f"loader={loader}", *parts]


class Peak(threading.Thread):
    """The most memory that is reached inside a `with`, beyond what is held when it begins.

    In anonymous pages too, which nothing records but a look every twentieth of a second.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done, self.anonymous = threading.Event(), 0.0

    def __enter__(self) -> "Peak":
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
        self.before, self.before_anonymous = memory("VmRSS"), memory("RssAnon")
        self.start()
        return self

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.anonymous = max(self.anonymous, memory("RssAnon") - self.before_anonymous)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()
        self.total = memory("VmHWM") - self.before

    def __str__(self) -> str:
        return f"{self.total:,.0f} ({self.anonymous:,.0f}) MB"


def start(nodes: int, loader: str) -> Settings:
    """The settings of one measurement."""
    quiet_libraries()
    settings = compose_settings(settings_of(nodes, loader))
    use_threads(settings.trainer)
    return settings


def generate(nodes: int) -> str:
    """Seconds until the graph lies on disk, and memory."""
    settings = start(nodes, "full")
    with Peak() as peak:
        begin = time.perf_counter()
        load(settings.dataset)
        seconds = time.perf_counter() - begin
    return f"{seconds:.1f} s, {peak}"


def train(nodes: int, loader: str) -> tuple[str, ...]:
    """Seconds until all is ready and of an epoch, memory and how states are kept, mean nodes in a batch."""
    settings = start(nodes, loader)
    times: list[float] = []
    sizes: list[int] = []
    with Peak() as peak:
        begin = time.perf_counter()
        made = experiment(settings)
        batches, model = made.batches, made.module
        ready = time.perf_counter() - begin
        tune_allocator(model, batches.probe.num_nodes, settings.memory)
        optimizer = model.configure_optimizers()
        for epoch in range(1 if nodes >= MANY else EPOCHS + 1):
            batches.set_epoch(epoch)
            begin = time.perf_counter()
            for number, graph in enumerate(batches):
                sizes.append(graph.num_nodes)
                optimizer.zero_grad()
                model.training_step(graph, number).backward()
                optimizer.step()
            times.append(time.perf_counter() - begin)
    epoch_time = statistics.median(times[1:] or times)
    return f"{ready:.1f} s", f"{epoch_time:.1f} s", f"{peak}, {model.memory}", f"{statistics.fmean(sizes):,.0f}"


def evaluate(nodes: int, loader: str) -> tuple[str, ...]:
    """Seconds and memory of one exact evaluation, by a network that was not trained."""
    settings = start(nodes, loader)
    with Peak() as peak:
        made = experiment(settings)
        model = made.module.eval()
        begin = time.perf_counter()
        with torch.inference_mode():
            model.validation_step(made.batches.validation)
        seconds = time.perf_counter() - begin
    return f"{seconds:.1f} s", str(peak)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("nodes", nargs="*", type=int, default=SIZES, help="sizes; all three if left out")
    options = parser.parse_args()
    table = Table("nodes", "loader", "ready after", "epoch", "its memory", "nodes a batch", "evaluation", "its memory")
    console = Console(width=120)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for nodes in options.nodes:
            console.print(f"{nodes:,} nodes: on disk after {pool.submit(generate, nodes).result()}")
            for loader in LOADERS:
                futures = [pool.submit(what, nodes, loader) for what in (train, evaluate)]
                texts = [text for future in futures for text in future.result()]
                console.print(f"{nodes:,} nodes, {loader}: {', '.join(texts)}")  # a million take minutes
                table.add_row(f"{nodes:,}", loader, *texts)
    console.print(table)


if __name__ == "__main__":
    main()

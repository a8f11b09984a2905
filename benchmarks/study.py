"""`python -m benchmarks.study`: the small default study, one and two runs at a time, beside a plain loop over PyG.

The loop trains the same runs by the same protocol (Adam, patience on validation loss, best state tested) with PyG's
own layers, dense features and all threads, and neither measures nor records anything. Masks differ, so the number of
epochs differs a little: it is shown. Takes some minutes; time nothing else meanwhile.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import operator_of, peer_of
from depthlab.address import sqlite_address
from depthlab.config.yaml_files import read_mapping
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches
from depthlab.folders import CHECKOUT, CONF
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures
from depthlab.study.grid import PlannedRun, expand
from depthlab.tracking.search import Records
from depthlab.training.fit import quiet_libraries


def peer(planned: PlannedRun, graph: Graph, classes: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network of a planned run from PyG's layers, with its two weight decays."""
    settings = planned.settings
    sizes = (graph.x.shape[1], classes, planned.depth, settings.hidden, settings.dropout)
    torch.manual_seed(planned.seed)
    model = peer_of(settings.model.name, sizes, settings.model.arguments)
    linear = [p for name, p in model.named_parameters() if name.startswith(("encoder", "decoder"))]
    layers = [p for name, p in model.named_parameters() if not name.startswith(("encoder", "decoder"))]
    groups = [
        {"params": layers, "weight_decay": settings.weight_decay},
        {"params": linear, "weight_decay": settings.weight_decay_linear},
    ]
    return model, torch.optim.Adam([g for g in groups if g["params"]], lr=settings.lr)


def plain_run(planned: PlannedRun) -> tuple[int, float]:
    """Train and test one planned run as a script would; returns epochs and test accuracy."""
    settings = planned.settings
    dataset, _ = load(settings.dataset)
    graph = make_batches(settings, dataset).probe
    assert isinstance(graph.x, SparseFeatures)
    x, operator, y = graph.x.to_dense(), operator_of(settings.model.name, graph), graph.y
    model, optimizer = peer(planned, graph, int(dataset.y.max()) + 1)
    best, best_epoch, state, epoch = float("inf"), 0, copy.deepcopy(model.state_dict()), 0
    for epoch in range(settings.epochs):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x, *operator)[graph.train], y[graph.train]).backward()
        optimizer.step()
        model.eval()
        with torch.inference_mode():
            loss = float(F.cross_entropy(model(x, *operator)[graph.val], y[graph.val]))
        if loss < best:
            best, best_epoch, state = loss, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= settings.patience:
            break
    model.load_state_dict(state)
    model.eval()
    with torch.inference_mode():
        return epoch + 1, float((model(x, *operator)[graph.test].argmax(-1) == y[graph.test]).float().mean())


def our_study(jobs: int, overrides: list[str], folder: Path) -> tuple[float, int, float]:
    """Wall seconds of `python -m src.study` from start to end, its epochs, and the mean test accuracy."""
    uri = sqlite_address(Path(folder, f"jobs{jobs}.db"))
    command = [sys.executable, "-m", "src.study", "name=bench", f"jobs={jobs}", *overrides]
    start = time.perf_counter()
    subprocess.run([*command, f"tracking.uri={uri}"], cwd=CHECKOUT, check=True, capture_output=True)
    wall = time.perf_counter() - start
    runs = Records(uri, "depthlab").runs("tags.method != ''")
    trained = [run for run in runs if run.training_seconds]
    epochs = sum(int(run.number("epochs_run")) for run in trained)
    return wall, epochs, sum(run.metrics["test_acc"] for run in trained) / len(trained)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of the study, from 0")
    parser.add_argument("overrides", nargs="*", help="settings of all runs, such as depth=2 epochs=20 for a short try")
    options = parser.parse_args()
    quiet_libraries()
    overrides = [f"seed={','.join(map(str, range(options.seeds)))}", *options.overrides]
    content = read_mapping(CONF / "study" / "quick.yaml")
    runs = expand(content["methods"], content["grid"], {}, overrides)
    table = Table("the small default study", "wall s", "epochs", "mean test accuracy", "faster than the loop")
    with tempfile.TemporaryDirectory() as folder:
        ours = {jobs: our_study(jobs, overrides, Path(folder)) for jobs in (1, 2)}
    start = time.perf_counter()
    outcomes = [plain_run(planned) for planned in runs]
    wall = time.perf_counter() - start
    for jobs, (seconds, epochs, accuracy) in ours.items():
        table.add_row(f"jobs={jobs}", f"{seconds:.0f}", str(epochs), f"{accuracy:.3f}", f"{wall / seconds:.1f} times")
    accuracy = sum(score for _, score in outcomes) / len(outcomes)
    table.add_row("plain loop over PyG", f"{wall:.0f}", str(sum(n for n, _ in outcomes)), f"{accuracy:.3f}", "")
    Console().print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(runs)} runs")
    Console().print(table)


if __name__ == "__main__":
    main()

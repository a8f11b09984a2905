"""Short real runs of every kind, recorded to full precision: a change that should not alter results is held to them.

    python -m tests.golden.runs                      write golden.json anew
    python -m tests.golden.runs --out new.json       record elsewhere, for instance at another commit
    python -m tests.golden.runs --compare a.json b.json   largest relative difference of each run

One thread. Two commits on the same machine agree to the bit where the order of sums is the same; other processors
sum in another order, so the suite compares the first epochs to 1e-3.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from depthlab.compiler import KERNEL
from depthlab.config.compose import compose_settings
from depthlab.files import write_text
from depthlab.folders import data
from depthlab.tracking.run import TrackedRun
from depthlab.training.replica_settings import replica_settings
from depthlab.training.replicas import run_replicas
from depthlab.training.run import run

GOLDEN = Path(__file__).with_name("golden.json")
BY_EPOCH = ("train_loss", "train_acc", "val_loss", "val_acc")
ONCE = ("best_val_acc", "test_acc")
SMALL = (
    "dataset=csbm", "dataset.nodes=200", "recipe=none", "hidden=16", "epochs=25", "patience=25", "seed=1",
    "memory=full", "trainer.threads=1", "progress=false", "tracking.artifacts=[]", "checkpoint_every=10",
)  # fmt: skip
TASK = (
    "dataset=ring_transfer", "dataset.size=6", "dataset.train_graphs=60", "dataset.test_graphs=20",
    "dataset.batch_size=16", *SMALL[2:],
)  # fmt: skip
RUNS: dict[str, tuple[str, ...]] = {
    "gcn": (*SMALL, "model=gcn", "depth=3"),
    "residual_gcn": (*SMALL, "model=residual_gcn", "depth=4"),
    "gcnii": (*SMALL, "model=gcnii", "depth=8"),
    "gcnii_drop_edge": (*SMALL, "model=gcnii", "depth=8", "p_drop=0.3"),
    "gcn_batch_norm": (*SMALL, "model=gcn", "depth=4", "norm=batch"),
    "gcn_pair_norm": (*SMALL, "model=gcn", "depth=4", "norm=pair"),
    "appnp": (*SMALL, "model=appnp", "depth=6"),
    "jknet": (*SMALL, "model=jknet", "depth=4"),
    "acmp": (*SMALL, "model=acmp", "model.step_size=0.1", "depth=4"),
    "graphcon": (*SMALL, "model=graphcon", "depth=4"),
    "g2": (*SMALL, "model=g2", "depth=4"),
    "gat": (*SMALL, "model=gat", "depth=3"),
    "revgcn": (*SMALL, "model=revgcn", "depth=6"),
    "checkpointed_layers": (*SMALL, "model=gcnii", "depth=8", "memory=checkpoint"),
    "replicas": (*SMALL, "model=gcnii", "depth=4", "replicas=2"),
    "cluster_loader": (
        *SMALL, "dataset=sbm_large", "dataset.nodes=600", "dataset.degree=6", "dataset.block_size=20",
        "loader=cluster", "loader.parts=6", "loader.batch_parts=2", "model=gcn", "depth=3",
    ),
    "long_range_task": (*TASK, "model=gcn", "depth=3"),
    "rewiring": (*SMALL, "rewiring=fosr", "rewiring.num_edges=20", "model=gcn", "depth=3"),
    "resumed": (*SMALL, "model=gcnii", "depth=4", "p_drop=0.2"),
}  # fmt: skip
COMPILED = ("gcn", "residual_gcn", "gcnii", "gcnii_drop_edge", "appnp", "checkpointed_layers", "replicas", "resumed")
RUNS |= {f"compiled_{name}": RUNS[name] for name in COMPILED}
INTERRUPTED = {"resumed": 12, "compiled_resumed": 12}  # run: epoch in which it is interrupted before it is resumed


@contextmanager
def interruption(epoch: int) -> Iterator[None]:
    """Inside, a run that records this epoch ends as if Ctrl-C had been pressed."""
    log = TrackedRun.log

    def press(self: TrackedRun, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if "epoch/train_loss" in metrics and step == epoch:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrackedRun, "log", press)
        yield


def record(name: str, folder: Path, *overrides: str) -> list[dict[str, Any]]:
    """Train the run of that name and read back what was recorded; replicas are several.

    Args:
        folder: for the store, checkpoints and prepared graphs.
        overrides: change the settings of the run.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not (folder / "data").exists():
            (folder / "data").symlink_to(data())
        patch.setenv("DEPTHLAB_HOME", str(folder))
        patch.setenv(KERNEL, "auto" if name.startswith("compiled_") else "plain")
        settings = compose_settings([*RUNS[name], *overrides])
        settings = settings.with_tracking(uri=f"sqlite:///{folder / 'mlflow.db'}", experiment=name)
        if settings.replicas > 1:
            members = replica_settings(settings)
            list(run_replicas(members, [{}] * len(members)))
        elif name in INTERRUPTED:
            with interruption(INTERRUPTED[name]), pytest.raises(KeyboardInterrupt):
                run(settings)
            run(replace(settings, ckpt="last"))
        else:
            run(settings)
    client = MlflowClient(settings.tracking.store)
    experiment = client.get_experiment_by_name(name).experiment_id
    return [_read(client, one) for one in client.search_runs([experiment], order_by=["attributes.run_name ASC"])]


def _read(client: MlflowClient, one: Run) -> dict[str, Any]:
    def curve(metric: str) -> list[float]:
        history = client.get_metric_history(one.info.run_id, metric)
        return [point.value for point in sorted(history, key=lambda point: point.step)]

    by_layer = sorted(name.removeprefix("layer/") for name in one.data.metrics if name.startswith("layer/"))
    scores = {name: one.data.metrics[name] for name in ONCE if name in one.data.metrics}
    if "best_epoch" in one.data.tags:
        scores["best_epoch"] = float(one.data.tags["best_epoch"])
    return {
        "epochs": {name: curve(f"epoch/{name}") for name in BY_EPOCH},
        "layers": {name: curve(f"layer/{name}") for name in by_layer},
        "scores": scores,
        "outcome": one.data.tags["outcome"],
    }


def record_all() -> dict[str, list[dict[str, Any]]]:
    """Every run of `RUNS`, with one thread."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return {name: record(name, Path(folder)) for name in RUNS}


def differences(one: Any, other: Any) -> list[float]:
    """Relative differences of all numbers in two recorded runs; infinite where their shapes differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        shared = [number for key in one.keys() & other.keys() for number in differences(one[key], other[key])]
        return shared + [math.inf] * len(one.keys() ^ other.keys())
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [math.inf]
        return [number for a, b in zip(one, other, strict=True) for number in differences(a, b)]
    if one == other:
        return [0.0]
    if isinstance(one, float | int) and isinstance(other, float | int):
        return [abs(one - other) / max(abs(one), abs(other))]
    return [math.inf]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.runs", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=GOLDEN, help="file to write")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="FILE", help="two files to compare instead")
    options = parser.parse_args()
    if options.compare is None:
        lines = [f"{json.dumps(name)}: {json.dumps(runs)}" for name, runs in record_all().items()]
        write_text(options.out, "{\n" + ",\n".join(lines) + "\n}\n")
        return
    first, second = (json.loads(path.read_text()) for path in options.compare)
    for name in sorted(first.keys() | second.keys()):
        worst = max(differences(first.get(name), second.get(name)))
        print(f"{name:20} {'equal to the bit' if worst == 0 else f'largest relative difference {worst:.1e}'}")


if __name__ == "__main__":
    main()

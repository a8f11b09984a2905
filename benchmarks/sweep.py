"""`python -m benchmarks.sweep`: what a sweep costs beside its trainings, and what pruning saves.

Overhead: trials of GCNII with 16 layers on Cora, one training each, nothing pruned, beside the same trainings called
directly, `depthlab.training.run.run` with its test, measures and records, in turns. Pruning: two sweeps of the same
trials of a GCN with two layers, three trainings each, with and without. One process, some minutes; time
nothing else meanwhile.
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from depthlab.address import sqlite_address
from depthlab.folders import CHECKOUT
from depthlab.sweep.command import composed
from depthlab.sweep.run import run_sweep
from depthlab.sweep.storage import open_storage
from depthlab.training.fit import quiet_libraries
from depthlab.training.run import run

DEEP, SHALLOW = ("model=gcnii", "depth=16"), ("model=gcn", "depth=2")
OVERRIDES = ["dataset=cora", "sampler=random", "fresh=0", "jobs=1", "progress=false"]


def swept(folder: Path, name: str, *overrides: str) -> tuple[float, float, list[dict[str, float]]]:
    """Wall seconds of a sweep, its best value, and the values of its trials."""
    import optuna

    journal = str(folder / f"{name}.journal")
    uri = f"tracking.uri='{sqlite_address(Path(folder, name + '.db'))}'"
    _, search, config = composed([*OVERRIDES, *overrides, f"study_name={name}", f"storage={journal}", uri])
    start = time.perf_counter()
    run_sweep(name, search, config)
    wall = time.perf_counter() - start
    study = optuna.load_study(study_name=name, storage=open_storage(journal))
    return wall, study.best_value, [trial.params for trial in study.trials]


def direct(folder: Path, params: list[dict[str, float]], *overrides: str) -> float:
    """Wall seconds of the same trainings, one after the other."""
    uri = f"tracking.uri='{sqlite_address(Path(folder, 'direct.db'))}'"
    _, search, _ = composed([*OVERRIDES, *overrides, uri])
    start = time.perf_counter()
    for values in params:
        settings = search.settings(values, search.trainings()[0]).with_tracking(artifacts=["config"])
        run(settings)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=6, help="of the overhead")
    parser.add_argument("--rounds", type=int, default=3, help="of the overhead, in turns")
    parser.add_argument("--pruned", type=int, default=24, help="trials of the two sweeps with and without pruning")
    parser.add_argument("--epochs", type=int, default=1400, help="at most, of each training")
    options = parser.parse_args()
    deep, shallow = ((*model, f"epochs={options.epochs}") for model in (DEEP, SHALLOW))
    quiet_libraries()
    table = Table("Cora", "sweep s", "beside it s", "ratio", "best validation accuracy")
    with tempfile.TemporaryDirectory(dir=CHECKOUT / "outputs" if (CHECKOUT / "outputs").is_dir() else None) as name:
        folder = Path(name)
        for k in range(options.rounds):
            wall, best, params = swept(folder, f"plain{k}", *deep, "seeds=1", "pruner=none", f"trials={options.trials}")
            baseline = direct(folder, params, *deep, "seeds=1")
            table.add_row(
                "GCNII, 16 layers: the trainings alone",
                f"{wall:.1f}",
                f"{baseline:.1f}",
                f"{wall / baseline:.3f}",
                f"{best:.3f}",
            )
        if options.pruned:
            count = f"trials={options.pruned}"
            wall, best, _ = swept(folder, "pruned", *shallow, count)
            baseline, unpruned, _ = swept(folder, "unpruned", *shallow, "pruner=none", count)
            scores = f"{best:.3f} with, {unpruned:.3f} without"
            table.add_row(
                "GCN-2, pruned: not pruned", f"{wall:.1f}", f"{baseline:.1f}", f"{wall / baseline:.3f}", scores
            )
    Console().print(table)


if __name__ == "__main__":
    main()

"""Two studies of the same runs at the same time, in one clone and in two, on one store."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from depthlab.tracking.search import Records
from tests.faults.conftest import Tally

TYPED = (
    "model=gcn", "depth=2,3", "seed=0,1", "dataset=csbm", "dataset.nodes=120", "hidden=16", "epochs=40", "patience=40",
    "trainer.threads=1", "jobs=1",
)  # fmt: skip
TRIES = 1


@pytest.mark.parametrize(("clones", "replicas"), [(1, "replicas=1"), (2, "replicas=1"), (2, "replicas=auto")])
def test_each_run_is_trained_once_and_none_fails(
    workshop: Path,
    empty_store: Path,
    environment: dict[str, str],
    tally: Tally,
    clones: int,
    replicas: str,
) -> None:
    folders = [workshop]
    if clones == 2:
        folders.append(workshop / "clone")
        folders[1].mkdir()
    for attempt in range(TRIES):
        store = workshop / f"{attempt}.db"
        shutil.copy(empty_store, store)
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "src.study", *TYPED, replicas, f"name=s{number}", f"tracking.uri=sqlite:///{store}"],
                cwd=folders[-number], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for number in range(2)
        ]  # fmt: skip
        ended = [(*process.communicate(timeout=200), process.returncode) for process in both]
        records = Records(f"sqlite:///{store}", "depthlab")
        runs = [run for run in records.runs() if run.tags.get("kind") != "study"]
        counts = Counter(run.tags["config_hash"] for run in runs if run.tags["outcome"] == "finished")
        survived = [code for *_, code in ended] == [0, 0] and sorted(counts.values()) == [1, 1, 1, 1]
        survived = survived and len(runs) == 4 and not any("failed" in out + err for out, err, _ in ended)
        tally(f"two studies of the same runs in {clones} clones, {replicas}", survived)
        assert survived, (ended, [(run.name, run.status, run.tags["outcome"]) for run in runs])

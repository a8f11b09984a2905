"""A full disk, as a limit of the size of files: one sentence, no incomplete file, and the same command continues."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthlab.files import load_torch
from tests.faults.conftest import Tally

CSBM = ["dataset=csbm", "dataset.nodes=60", "model=gcn", "depth=3", "epochs=2", "trainer.threads=1"]
WIDE = [*CSBM, "hidden=700"]  # its checkpoints of some megabytes are larger than the database with a run
COMMANDS = {
    "train": ["src.train", *WIDE],
    "study": ["src.study", *WIDE, "name=small", "jobs=1", "seed=0"],
    "sweep": ["src.sweep", *CSBM, "p_drop=interval(0, 0.5)", "trials=1", "seeds=1", "fresh=0", "jobs=1"],
    "prepare": ["src.prepare", *CSBM[:2]],
}


@pytest.fixture
def folder(workshop: Path, empty_store: Path) -> Path:
    """A folder for the commands, with a store that has its tables already."""
    shutil.copy(empty_store, workshop / "mlflow.db")
    return workshop


def run(
    folder: Path, environment: dict[str, str], command: list[str], largest: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """`python -m COMMAND` there, whose files may have so many bytes at most."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, text=True,
        capture_output=True, timeout=300, check=False, preexec_fn=limit,
    )  # fmt: skip


def complete(folder: Path) -> bool:
    """Whether every checkpoint and prepared file that is there can be read, and no temporary file is left."""
    for path in (*folder.glob("checkpoints/*/*.ckpt"), *folder.glob("prepared/**/*.pt")):
        load_torch(path)
    parts = [path for place in ("checkpoints", "prepared", "results") for path in folder.glob(f"{place}/**/*.part")]
    return not parts


@pytest.mark.parametrize(
    ("name", "room"),
    [("train", 0), ("train", 200_000), ("study", 200_000), ("sweep", 0), ("prepare", 0)],
)
def test_a_full_disk_is_survived(folder: Path, environment: dict[str, str], tally: Tally, name: str, room: int) -> None:
    largest = room if name == "prepare" else (folder / "mlflow.db").stat().st_size + room
    full = run(folder, environment, COMMANDS[name], largest)
    one_sentence = full.returncode == 1 and "Traceback" not in full.stderr + full.stdout
    left = complete(folder)
    again = run(folder, environment, COMMANDS[name])
    if not (one_sentence and left and again.returncode == 0):
        print(full.stdout[-2000:], full.stderr[-3000:], again.stdout[-1000:], again.stderr[-1000:], sep="\n---\n")
    tally(f"a full disk while {name} writes", one_sentence and left and again.returncode == 0 and complete(folder))

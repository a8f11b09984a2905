"""SIGKILL, SIGINT and SIGTERM early and at the end of a command: the store is intact, the next command succeeds."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthlab.folders import SOURCE
from tests.faults.conftest import Tally

SMALL = ("dataset=csbm", "dataset.nodes=120", "hidden=8", "epochs=20", "trainer.threads=1")
COMMANDS = {
    "train": ("src.train", *SMALL, "model=gcn", "depth=2", "checkpoint_every=5"),
    "study": ("src.study", *SMALL, "model=gcn", "depth=2", "seed=0,1", "jobs=2", "replicas=1", "name=kills"),
    "sweep": ("src.sweep", *SMALL, "model=gcn", "depth=2", "trials=2", "fresh=0", "jobs=1"),
    "report": ("src.report", "study=kills"),
    "prepare": ("src.prepare", "dataset=digits"),
    "rewire": ("src.rewire", *SMALL, "rewiring=random"),
    "ui": ("src.ui", "--port", "0"),
}
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
FIRST, LATER = (0.3, 1.3), (1.3, 6.0)  # seconds after the start
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A folder with a store that has its tables, for all commands one after another."""
    root = tmp_path_factory.mktemp("kills")
    shutil.copy(empty_store, root / "mlflow.db")
    return root


def begin(project: Path, environment: dict[str, str], name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *COMMANDS[name]], cwd=project, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def is_intact(project: Path, process: "subprocess.Popen[str]", errors: str) -> bool:
    """The store is consistent, and the command ended with one sentence, or before it could print one."""
    with sqlite3.connect(project / "mlflow.db") as store:
        healthy = store.execute("pragma integrity_check").fetchone() == ("ok",)
    trace = "Traceback" in errors and str(SOURCE) in errors  # one of Python's own start is not ours
    reported = process.returncode not in (130, -signal.SIGINT) or errors.rstrip().splitlines()[-1].startswith(
        "interrupted"
    )
    if not (healthy and not trace and reported):
        print(process.args, process.returncode, healthy, errors)
    return healthy and not trace and reported


def hit(process: "subprocess.Popen[str]", number: int) -> str:
    process.send_signal(number)
    return process.communicate(timeout=120)[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_in_the_first_seconds(project: Path, environment: dict[str, str], tally: Tally, name: str) -> None:
    draw = random.Random(name)
    if name == "report":
        assert not begin(project, environment, "study").wait(200)
    for number in SIGNALS:
        for moment in (FIRST,) if name == "ui" else (FIRST, LATER):
            process = begin(project, environment, name)
            time.sleep(draw.uniform(*moment))
            errors = hit(process, number)
            tally(f"{signal.Signals(number).name} in the first seconds", is_intact(project, process, errors))
    if name == "ui":
        return
    process = begin(project, environment, name)
    _, errors = process.communicate(timeout=200)
    tally("the same command after that", process.returncode == 0)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("number", SIGNALS)
def test_at_the_end_of_a_run(project: Path, environment: dict[str, str], tally: Tally, number: int) -> None:
    for end in ("final.ckpt", "FINISHED"):
        shutil.rmtree(project / "checkpoints", ignore_errors=True)
        before = finished(project)
        process = begin(project, environment, "train")
        while process.poll() is None:
            if list((project / "checkpoints").glob("*/final.ckpt")) and (
                end == "final.ckpt" or finished(project) > before
            ):
                break
            time.sleep(0.005)
        errors = hit(process, number)
        tally(f"{signal.Signals(number).name} at the end of a run", is_intact(project, process, errors))


def finished(project: Path) -> int:
    with sqlite3.connect(project / "mlflow.db", timeout=30) as store:
        return int(store.execute("select count(*) from runs where status = 'FINISHED'").fetchone()[0])

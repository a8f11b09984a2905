"""Small sweeps: in this process for speed, or by the command line in a copy of the project."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from depthlab.data.prepare import load
from depthlab.sweep.prune import make_pruner
from depthlab.sweep.queue import OWNER, distribution
from depthlab.sweep.run import run_sweep
from depthlab.sweep.search import Search, make_search
from depthlab.sweep.space import read_space
from depthlab.sweep.storage import open_storage, open_study
from depthlab.sweep.trial import Task
from depthlab.tracking.search import Recorded, Records
from tests.conftest import Start

CSBM = ["dataset=csbm", "dataset.nodes=120", "hidden=16", "tracking.artifacts=[config]"]
SMALL = [*CSBM, "trainer.threads=1", "epochs=3", "depth=2"]
GCN = ["model=gcn", *SMALL]
SPACE = {"p_drop": "interval(0, 0.8)", "dropout": "interval(0, 0.8)"}
ONE = {"split": 0}


def search_of(
    *typed: str,
    space: Mapping[str, str] | None = None,
    objective: Any = None,
    seeds: int | None = 1,
    splits: Sequence[dict[str, Any]] = (ONE,),
) -> Search:
    """SPACE of a small GCN, with changes."""
    found, rest = read_space(SPACE if space is None else space, [*GCN, *typed])
    return make_search(found, rest, objective, seeds, splits)


def options(**changes: Any) -> DictConfig:
    """conf/sweep.yaml's own settings, in this process and without fresh seeds."""
    plain = {
        "trials": 3, "fresh": 0, "sampler": "tpe", "sampler_seed": 0, "pruner": "median", "storage": None,
        "jobs": 1, "backend": "processes", "scheduler": None,
    }  # fmt: skip
    return OmegaConf.create(plain | changes)


@dataclass(frozen=True)
class Sweep:
    """Everything that a sweep in this process reads and writes."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def journal(self) -> str:
        return str(self.folder / "small.journal")

    @property
    def records(self) -> Records:
        return Records(self.uri, "depthlab")

    def search(self, *typed: str, **changes: Any) -> Search:
        """`search_of` that records here."""
        return search_of(f"tracking.uri={self.uri}", *typed, **changes)

    def study(self, search: Search, pruner: str = "none", storage: str | None = None) -> optuna.Study:
        """The study `small` as this process sees it."""
        judge = make_pruner(pruner, search.config.epochs, len(search.trainings()))
        address = open_storage(storage or self.journal)
        data = load(search.settings(search.baseline, search.trainings()[0]).dataset)[1]
        content = search.content() | {"data": data}
        return open_study(address, "small", search.directions, content, judge)

    def task(self, search: Search, trial: optuna.Trial, pruner: str = "none") -> Task:
        """What a worker is handed for a trial of that study."""
        settings = [replace(search.settings(trial.params, point), progress=False) for point in search.trainings()]
        return Task(
            self.journal, "small", pruner, trial.number, trial._trial_id, trial.user_attrs.get(OWNER),
            tuple(search.objectives), trial.params, settings, "the parent",
        )  # fmt: skip

    def run(self, search: Search, **config: Any) -> bool:
        """The sweep `small`, its trials one after another in this process."""
        return run_sweep("small", search, options(**{"storage": self.journal} | config))

    def trials(self, search: Search, storage: str | None = None) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study(search, storage=storage).get_trials()

    def parent(self) -> Recorded:
        """The sweep's own run."""
        (run,) = self.records.runs("tags.kind = 'sweep'")
        return run

    def children(self) -> dict[str, Recorded]:
        """The runs of trials by number."""
        found = self.records.runs("tags.kind = 'trial'")
        assert len({run.tags["trial"] for run in found}) == len(found)
        return {run.tags["trial"]: run for run in found}


def add(
    study: optuna.Study,
    search: Search,
    values: Sequence[float],
    params: Mapping[str, Any],
    reports: Mapping[int, float] | None = None,
    state: TrialState = TrialState.COMPLETE,
    **attributes: Any,
) -> None:
    """A trial that has ended, as if it had been done."""
    kinds = {key: distribution(values) for key, values in search.space.items()}
    trial = optuna.trial.create_trial(
        state=state, values=list(values) or None, params=dict(params), distributions=kinds,
        intermediate_values=dict(reports or {}), user_attrs=attributes,
    )  # fmt: skip
    study.add_trial(trial)


@pytest.fixture
def sweep(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    """A folder of the test's own for a sweep in this process."""
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(empty_store, here / "mlflow.db")
    monkeypatch.setenv("DEPTHLAB_HOME", str(here))
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)  # threads that each trial gets
    yield Sweep(here)
    torch.set_num_threads(1)


@pytest.fixture
def shop(workshop: Path, empty_store: Path) -> Sweep:
    """A folder for the command, with a store that has its tables already."""
    shutil.copy(empty_store, workshop / "mlflow.db")
    return Sweep(workshop)


@pytest.fixture
def start(shop: Sweep, launch: Start) -> Start:
    """Starts `python -m src.sweep ...` there."""
    return partial(launch, "src.sweep")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of a PostgreSQL server of the tests' own."""
    programs = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    found = shutil.which("initdb")
    if not programs and not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    program = programs[-1] if programs else Path(str(found)).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="depthlab-"))  # pytest's own folders can be read by nobody else
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to be run by root
        shutil.chown(folder, "nobody")
        who = {"user": "nobody", "extra_groups": []}

    def call(name: str, *arguments: str) -> None:
        command = [str(program / name), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **who)

    try:
        call("initdb", "-U", "depthlab", "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8")
        own = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", own)
        try:
            yield f"postgresql+psycopg://depthlab@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder)

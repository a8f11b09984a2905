"""Small studies: in this process for speed, or by the command line in a copy of the project."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from depthlab.study.grid import PlannedRun, expand
from depthlab.study.plan import Plan, make_plan
from depthlab.study.run import run_study
from depthlab.tracking.search import Recorded, Records
from depthlab.training.result import evaluate
from tests.conftest import Start

METHODS = {"GCN": "model=gcn", "GCNII": "model=gcnii"}
CSBM = ["dataset=csbm", "dataset.nodes=120", "hidden=16", "tracking.artifacts=[config]"]
SMALL = [*CSBM, "trainer.threads=1", "epochs=3"]
GRID = {"depth": "2,4", "seed": "0,1"}


@dataclass(frozen=True)
class Study:
    """Everything that a study in this process reads and writes."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def records(self) -> Records:
        return Records(self.uri, "depthlab")

    def planned(
        self, *typed: str, methods: dict[str, str] | None = None, animation: dict[str, Any] | None = None
    ) -> list[PlannedRun]:
        """METHODS over GRID, with changes."""
        more = [*SMALL, f"tracking.uri={self.uri}", *typed]
        return expand(METHODS if methods is None else methods, GRID, animation or {}, more)

    def plan(self, planned: list[PlannedRun], same_code: bool = False) -> Plan:
        return make_plan(planned, self.records.runs(), same_code)

    def run(self, planned: list[PlannedRun], name: str = "small", **config: Any) -> bool:
        """One study, its runs one after another in this process."""
        return run_study(name, planned, options(**config))

    def parents(self) -> dict[str, Recorded]:
        """The parent run of each method, by label."""
        found = self.records.runs("tags.kind = 'study'")
        assert len({run.tags["method"] for run in found}) == len(found)
        return {run.tags["method"]: run for run in found}

    def finished(self) -> dict[str, Recorded]:
        """The recorded runs without the parents, by id."""
        runs = self.records.runs("tags.outcome = 'finished'")
        return {run.run_id: run for run in runs if run.tags.get("kind") != "study"}


def options(**changes: Any) -> DictConfig:
    """conf/study.yaml's own settings."""
    plain = {"jobs": 1, "backend": "processes", "scheduler": None, "only": None, "reuse": "any_code", "dry": False}
    plain |= {"replicas": 1}
    return OmegaConf.create(plain | changes)


@pytest.fixture
def study(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A folder of the test's own for a study in this process."""
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(empty_store, here / "mlflow.db")
    monkeypatch.setenv("DEPTHLAB_HOME", str(here))
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)  # threads of each run
    yield Study(here)
    torch.set_num_threads(1)


@pytest.fixture
def second_run_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes once, at the end of the second training."""
    calls: list[int] = []

    def interrupted(*args: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        evaluate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("depthlab.training.run.evaluate", interrupted)


@pytest.fixture
def shop(workshop: Path, empty_store: Path) -> Study:
    """A folder for the command, with a store that has its tables already."""
    shutil.copy(empty_store, workshop / "mlflow.db")
    return Study(workshop)


@pytest.fixture
def start(shop: Study, launch: Start) -> Start:
    """Starts `python -m src.study ...` there."""
    return partial(launch, "src.study")


@pytest.fixture
def recorded() -> Callable[..., Recorded]:
    """Makes the recorded run of a planned run."""

    def make(
        planned_run: PlannedRun, data_hash: str, run_id: str = "1", metrics: dict[str, float] | None = None, **tags: str
    ) -> Any:
        own = {"config_hash": planned_run.hash, "resume_hash": "r", "data_hash": data_hash, "outcome": "finished"}
        return Recorded(run_id, "a run", "FINISHED", own | tags, metrics or {}, {})

    return make

"""A real small study in a store of its own, copies of that store to spoil, and frames made by hand."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig, OmegaConf

from depthlab.folders import CONF
from depthlab.report.runs import Report, read_report
from depthlab.report.write import write_report
from depthlab.study.grid import expand
from depthlab.study.run import run_study
from depthlab.tracking.search import Recorded, Records

STUDY, EXPERIMENT = "small", "depthlab"
DIVERGED = "GCN + <b>&steps"  # a label that would be markup; its steps are so long that the loss is no number
METHODS = {
    "GCN": "model=gcn",
    "GCN + DropEdge": "model=gcn p_drop=0.5",
    "GCNII": "model=gcnii",
    DIVERGED: "model=gcn lr=1e30",
}
DEPTHS, SEEDS, EPOCHS = (2, 4), (0, 1, 2), 5
GRID = {"dataset": "csbm", "depth": "2,4", "seed": "0,1,2"}
ANIMATION = {"depth": 4, "seed": 0, "methods": ["GCN", "GCNII", DIVERGED]}
NODES = 120
TYPED = [f"dataset.nodes={NODES}", f"epochs={EPOCHS}", "hidden=8", "tracking.artifacts=[]", "trainer.threads=1"]

Frame = Callable[..., pd.DataFrame]


@dataclass(frozen=True)
class Store:
    """A database of records."""

    path: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    @property
    def records(self) -> Records:
        return Records(self.uri, EXPERIMENT)

    def run(self, method: str, depth: int, seed: int) -> Recorded:
        """The run of one run."""
        condition = f"tags.method = '{method}' and tags.depth = '{depth}' and tags.seed = '{seed}'"
        (run,) = self.records.runs(condition)
        return run

    def report(self) -> Report:
        return read_report(self.records, STUDY)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The study, run by the real program. Do not write into it."""
    folder = tmp_path_factory.mktemp("study")
    store = Store(folder / "mlflow.db")
    runs = expand(METHODS, GRID, ANIMATION, [*TYPED, f"tracking.uri={store.uri}"])
    config = OmegaConf.load(CONF / "study.yaml")
    assert isinstance(config, DictConfig)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPTHLAB_HOME", str(folder))
        patch.setattr("joblib.cpu_count", lambda: 1)  # so many threads would this process have
        config.jobs = 1
        assert run_study(STUDY, runs, config)
    yield store


@pytest.fixture(scope="session")
def report(recorded: Store) -> Report:
    """What is read back of it. Do not change it."""
    return recorded.report()


@pytest.fixture
def store(recorded: Store, tmp_path: Path) -> Store:
    """A copy of the records, to change, beside the same artifacts."""
    return Store(Path(shutil.copy(recorded.path, recorded.path.with_name(f"{tmp_path.name}.db"))))


@pytest.fixture(scope="session")
def written(recorded: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The folder in which the results lie and the paths that writing the report returned. Do not write into it."""
    folder = tmp_path_factory.mktemp("written") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPTHLAB_HOME", str(folder.parent))
        return folder, write_report(recorded.records, STUDY)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports are written."""
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    return tmp_path / "results"


@pytest.fixture
def frame() -> Frame:
    """Runs of one method at one depth made by hand: one for each score, seed by seed; None is a diverged one."""

    def make(method: str, depth: int, accuracies: list[float | None], **changes: Any) -> pd.DataFrame:
        rows = [
            {
                "study": "hand", "dataset": "cora", "model": "gcn", "method": method, "p_drop": 0.0, "depth": depth,
                "seed": seed, "split": "public", "test_acc": float("nan") if value is None else value, "metric": "acc",
                "dirichlet_energy": 0.5, "rayleigh_quotient": 0.25, "effective_rank": 3.0, "seconds": 12.0,
                "outcome": "diverged" if value is None else "finished",
                "verdict": "diverged" if value is None else "healthy",
                "evidence": "by hand", "recipe": "published/cora-gcn", "overrides": "model p_drop", "code_hash": "c",
                "run_id": f"{method}-{depth}-{seed}",
            } | changes
            for seed, value in enumerate(accuracies)
        ]  # fmt: skip
        return pd.DataFrame(rows)

    return make

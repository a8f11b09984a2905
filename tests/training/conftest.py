"""Runs of the real program: in this process for speed, or by its command line in a copy of the project."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from depthlab.config.compose import compose_settings
from depthlab.config.schema import Settings
from tests.conftest import Command

Train = Callable[..., "subprocess.CompletedProcess[str]"]
Compose = Callable[..., Settings]
SMALL = ["dataset=csbm", "dataset.nodes=120", "progress=false", "trainer.threads=1"]
CURVES = (
    "dirichlet_energy", "log10_dirichlet_energy", "dirichlet_energy_normalized", "rayleigh_quotient",
    "mean_average_distance", "effective_rank", "gradient_norm", "gradient_norm_at_start",
    "gradient_norm_first_epoch",
)  # fmt: skip
REWIRED = ("dataset.nodes=60", "model=gcn", "depth=3", "epochs=4", "measures=[dirichlet_energy]")
TREE = ("dataset=tree_neighbors_match", "dataset.radius=2", "recipe=none", "hidden=8", "epochs=4")


def history(settings: Settings, run_id: str, metric: str) -> list[tuple[int, float]]:
    points = MlflowClient(settings.tracking.uri).get_metric_history(run_id, metric)
    return sorted((point.step, point.value) for point in points)


def command_line(*overrides: str) -> list[str]:
    """`python -m src.train OVERRIDES` with the interpreter of the tests."""
    return [sys.executable, "-m", "src.train", *overrides]


@pytest.fixture
def train(workshop: Path, environment: dict[str, str]) -> Train:
    """Run the command line in the workshop and wait."""

    def call(*overrides: str) -> "subprocess.CompletedProcess[str]":
        command = command_line(*overrides)
        return subprocess.run(
            command, cwd=workshop, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return call


@pytest.fixture
def records(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """The store of the runs in this process: it and all other files of theirs lie below `tmp_path`."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def train_here(records: MlflowClient, command: Command) -> Command:
    """Runs the command line in this process."""
    return partial(command, "train", f"tracking.uri={records.tracking_uri}")


@pytest.fixture
def settings(records: MlflowClient) -> Compose:
    """Settings of a small run that records below `tmp_path`."""

    def compose(*overrides: str) -> Settings:
        found = compose_settings([*SMALL, "tracking.artifacts=[config]", *overrides])
        found = found.with_tracking(uri=records.tracking_uri)
        return found

    return compose


@pytest.fixture
def tasks(settings: Compose) -> Compose:
    """Settings of a small run on a task: those of `settings` name nodes, which a task has no setting for."""

    def compose(*overrides: str) -> Settings:
        uri = settings().tracking.uri
        found = compose_settings([*overrides, "progress=false", "trainer.threads=1", "tracking.artifacts=[states]"])
        found = found.with_tracking(uri=uri)
        return found

    return compose

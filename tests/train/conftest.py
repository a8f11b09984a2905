"""Runs of the real program: in this process for speed, or by its command line in a copy of the project."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.settings import compose_settings

Train = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = ["dataset=csbm", "dataset.nodes=120", "progress=false", "trainer.threads=1"]


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
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Settings of a small run that records below `tmp_path`."""
    monkeypatch.setattr("src.train.identity.CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr("src.data.raw.PREPARED", tmp_path / "prepared")

    def compose(*overrides: str) -> dict[str, Any]:
        found = compose_settings([*SMALL, "tracking.artifacts=[config]", *overrides])
        found["tracking"]["uri"] = f"sqlite:///{tmp_path / 'mlflow.db'}"
        return found

    return compose

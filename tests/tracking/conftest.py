"""A store of the test's own, and runs in it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records

Start = Callable[..., TrackedRun]


@pytest.fixture
def records(tmp_path: Path, empty_store: Path) -> Records:
    """The experiment `mine` in a store with tables and no runs."""
    return Records(f"sqlite:///{shutil.copy(empty_store, tmp_path / 'records.db')}", "mine")


@pytest.fixture
def start(records: Records) -> Start:
    """Starts or resumes a run there."""

    def new(
        name: str = "cora-gcn-d2-s0",
        params: dict[str, Any] | None = None,
        run_id: str | None = None,
        checkpoint: Path | None = None,
        **tags: str,
    ) -> TrackedRun:
        return TrackedRun(records.uri, records.experiment, name, params or {"depth": 2}, tags, run_id, checkpoint)

    return new

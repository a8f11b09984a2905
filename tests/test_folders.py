"""Folders of the program and of the project."""

from pathlib import Path

import pytest

from depthlab import folders


def test_the_project_is_the_current_folder_or_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders.root() == tmp_path.resolve()
    monkeypatch.setenv(folders.HOME, str(tmp_path / "project"))
    assert folders.database() == tmp_path.resolve() / "project" / "mlflow.db"
    for name in ("data", "prepared", "checkpoints", "results", "sweeps"):
        assert getattr(folders, name)() == tmp_path.resolve() / "project" / name


def test_paths_in_messages_are_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folders.HOME, str(tmp_path))
    assert folders.relative(tmp_path.resolve() / "data" / "a.npz") == "data/a.npz"
    assert folders.relative(Path("/elsewhere/a.npz")) == "/elsewhere/a.npz"

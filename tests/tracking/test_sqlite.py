"""A SQLite file is examined before it is opened, wherever it lies and whoever wrote it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db import utils
from sqlalchemy import create_engine

from depthlab.address import sqlite_address
from depthlab.config.errors import UserError
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.tracking.sqlite import is_absent
from depthlab.tracking.store import open_store


@pytest.fixture
def database(empty_store: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A database in a folder of this name."""

    def copy(folder: str) -> Path:
        (tmp_path / folder).mkdir(parents=True)
        return Path(shutil.copy(empty_store, tmp_path / folder / "mlflow.db"))

    return copy


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_nothing_and_an_empty_file_are_absent(tmp_path: Path) -> None:
    assert is_absent(tmp_path / "mlflow.db")
    (tmp_path / "mlflow.db").touch()
    assert is_absent(tmp_path / "mlflow.db")


def test_database_whose_creation_was_killed(tmp_path: Path, database: Callable[[str], Path]) -> None:
    path = tmp_path / "half.db"
    engine = create_engine(sqlite_address(path))
    utils.InitialBase.metadata.create_all(engine)
    engine.dispose()
    later = database("later")  # killed before the first experiment
    change(later, "DELETE FROM experiments")
    for half in (path, later):
        with pytest.raises(UserError, match=rf"^{half} is an incomplete MLflow database without runs, .*: delete it "):
            open_store(sqlite_address(half), "mine")


def test_database_of_another_program(tmp_path: Path, database: Callable[[str], Path]) -> None:
    foreign = tmp_path / "trials.db"
    change(foreign, "CREATE TABLE trials (number INTEGER)")
    versioned = tmp_path / "versioned.db"
    change(versioned, "CREATE TABLE alembic_version (version_num TEXT)")
    for path in (foreign, versioned):
        with pytest.raises(UserError, match=rf"^{path} is a database of another program \(tables \w+\)"):
            open_store(sqlite_address(path), "mine")


def test_database_without_its_version(database: Callable[[str], Path]) -> None:
    path = database("a")
    change(path, "DELETE FROM alembic_version")
    with pytest.raises(UserError, match=r"has no schema version, .*: restore it from a backup$"):
        open_store(sqlite_address(path), "mine")


def test_database_of_another_version(database: Callable[[str], Path]) -> None:
    path = database("a")
    change(path, "UPDATE alembic_version SET version_num = '0123456789ab'")
    with pytest.raises(UserError, match=r"was made by another version of MLflow: save a copy of it, then run `mlflow "):
        open_store(sqlite_address(path), "mine")


@pytest.mark.parametrize("folder", ["q?x", "a%20b", "a#b", "a b", "q?x/%41"])
def test_project_in_any_folder(folder: str, tmp_path: Path, database: Callable[[str], Path]) -> None:
    path = database(folder)
    run = TrackedRun(sqlite_address(path), "mine", "name", {}, {})
    run.text("content", "file.txt")
    run.finish("FINISHED", "finished")
    records = Records(sqlite_address(path), "mine", create=False)
    assert [found.run_id for found in records.runs()] == [run.run_id]
    assert (path.parent / "mlartifacts" / run.run_id / "artifacts" / "file.txt").read_text() == "content"
    assert [found.name for found in tmp_path.iterdir()] == [folder.split("/")[0]]


def test_project_that_was_copied_keeps_its_artifacts(tmp_path: Path, database: Callable[[str], Path]) -> None:
    old = database("old")
    first = TrackedRun(sqlite_address(old), "mine", "first", {}, {})
    first.text("1", "file.txt")
    first.finish("FINISHED", "finished")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    new = tmp_path / "new" / "mlflow.db"
    before = sorted((tmp_path / "old").rglob("*"))
    second = TrackedRun(sqlite_address(new), "mine", "second", {}, {})
    second.text("2", "file.txt")
    second.finish("FINISHED", "finished")
    assert sorted((tmp_path / "old").rglob("*")) == before
    assert (tmp_path / "new" / "mlartifacts" / second.run_id / "artifacts" / "file.txt").read_text() == "2"
    shutil.rmtree(tmp_path / "old")
    found = Records(sqlite_address(new), "mine").file(first.run_id, "file.txt", tmp_path)
    assert found is not None
    assert found.read_text() == "1"
    assert not (tmp_path / "old").exists()


def test_project_that_was_renamed(
    tmp_path: Path, database: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = TrackedRun(sqlite_address(database("old")), "mine", "first", {}, {})
    run.text("1", "file.txt")
    run.finish("FINISHED", "finished")
    capsys.readouterr()
    (tmp_path / "old").rename(tmp_path / "new")
    records = Records(sqlite_address(tmp_path / "new" / "mlflow.db"), "mine")
    assert records.file(run.run_id, "file.txt", tmp_path) is not None
    folder = tmp_path / "new"
    assert capsys.readouterr().err == (
        f"{folder}/mlflow.db was moved or copied: its artifacts are those in {folder}/mlartifacts\n"
    )
    Records(sqlite_address(folder / "mlflow.db"), "mine")
    assert capsys.readouterr().err == ""


def test_project_that_is_reached_through_a_link_was_not_moved(
    tmp_path: Path, database: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    real = database("real")
    run = TrackedRun(sqlite_address(real), "mine", "first", {}, {})
    run.text("1", "file.txt")
    run.finish("FINISHED", "finished")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    linked = Records(sqlite_address(tmp_path / "link" / "mlflow.db"), "mine")
    assert linked.file(run.run_id, "file.txt", tmp_path) is not None
    assert "moved" not in capsys.readouterr().err
    assert str(tmp_path / "real") in linked.client.get_run(run.run_id).info.artifact_uri


def test_database_that_left_its_artifacts_behind(tmp_path: Path, database: Callable[[str], Path]) -> None:
    old = database("old")
    run = TrackedRun(sqlite_address(old), "mine", "first", {}, {})
    run.text("1", "file.txt")
    run.finish("FINISHED", "finished")
    (tmp_path / "new").mkdir()
    new = Path(shutil.copy(old, tmp_path / "new"))
    with pytest.raises(UserError, match=rf"^the artifacts of {new} are in {tmp_path}/old/mlartifacts, not beside it: "):
        open_store(sqlite_address(new), "mine")
    assert not (tmp_path / "new" / "mlartifacts").exists()
    assert Records(sqlite_address(old), "mine").file(run.run_id, "file.txt", tmp_path) is not None

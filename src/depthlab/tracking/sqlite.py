"""The SQLite file of MLflow: created completely or not at all, and checked before it is opened."""

import contextlib
import math
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from depthlab.address import sqlite_address
from depthlab.config.errors import UserError
from depthlab.database import first_line
from depthlab.files import atomic_write

ARTIFACTS = "mlartifacts"  # the folder beside the database
JOURNALS = ("-journal", "-wal", "-shm")  # files of SQLite's own beside a database
WAIT_SECONDS = 60.0  # seconds to wait for another process that writes


def artifacts_of(path: Path) -> str:
    """The artifact location of a database, as MLflow records it."""
    return (path.parent / ARTIFACTS).as_uri()


def create(path: Path) -> None:
    """Create the database under a temporary name and move it to its path; the caller holds its lock.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    with atomic_write(path) as part:
        _remove_journals(part)
        try:
            with no_stray_folder(part):
                store = SqlAlchemyStore(sqlite_address(part), artifacts_of(path))
            store.engine.dispose()
        except (SQLAlchemyError, MlflowException) as error:
            reason = first_line(error)
            raise UserError(
                f"cannot create the database {path}: {reason}; the disk may be full: free some space and start again"
            ) from None
        finally:
            _remove_journals(part)
        _remove_journals(path)  # of a deleted database: SQLite would apply them to the new one


def is_absent(path: Path) -> bool:
    """Whether there is no database yet: no file, an empty file, or one without tables.

    Raises:
        UserError: MLflow cannot record in the file.
    """
    if not path.exists():
        return True
    with _open(path) as database:
        tables = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return True
        used = "experiments" in tables and database.execute("SELECT count(*) FROM experiments").fetchone()[0]
        version = "alembic_version" in tables and database.execute("SELECT * FROM alembic_version").fetchone()
    if used and version:
        return False
    others = {name for name in tables if not name.startswith(("alembic_", "_alembic_"))} - _tables_of_mlflow()
    if others or "experiments" not in tables:
        what = ", ".join(sorted(others or tables)[:3])
        raise UserError(f"{path} is a database of another program (tables {what}): give another file, tracking.uri=")
    if used:
        raise UserError(f"{path} has no schema version, so MLflow cannot open it: restore it from a backup")
    raise UserError(
        f"{path} is an incomplete MLflow database without runs, left by a process that was killed while it created"
        " the file: delete it and start again"
    )


def move_artifacts(path: Path) -> None:
    """Correct the artifact paths in the records if the project's folder was renamed or copied.

    Raises:
        UserError: the artifacts are still in the old folder, and there are none beside the database.
    """
    new = artifacts_of(path)
    with _open(path) as database:
        locations = {str(location) for (location,) in database.execute("SELECT artifact_location FROM experiments")}
        for old in {_root(location) for location in locations} - {new, ""}:
            folder = Path(unquote(urlsplit(old).path))
            if folder.resolve() == (path.parent / ARTIFACTS).resolve():  # the same folder by a link
                continue
            if folder.exists() and not (path.parent / ARTIFACTS).exists():
                raise UserError(
                    f"the artifacts of {path} are in {folder}, not beside it: move or copy them to"
                    f" {path.parent / ARTIFACTS} and start again"
                )
            rows = 0
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                rows = database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608, names of the line above
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                ).rowcount
            database.commit()
            if rows:  # of the last table, runs; without runs there are no artifacts
                print(
                    f"{path} was moved or copied: its artifacts are those in {path.parent / ARTIFACTS}", file=sys.stderr
                )


def read_runs(
    path: Path, experiment: str
) -> list[tuple[str, str, str, dict[str, str], dict[str, float], dict[str, str]]]:
    """Id, name, status, tags, metrics and parameters of the runs of an experiment, the oldest first; [] without one.

    Raises:
        UserError: the file cannot be read.
    """
    chosen = "FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name = ?"
    chosen += " AND runs.lifecycle_stage = 'active'"
    with _open(path) as database:
        columns = "SELECT run_uuid, runs.name, status"
        rows = database.execute(f"{columns} {chosen} ORDER BY start_time, run_uuid", (experiment,)).fetchall()
        parts: list[dict[str, dict[str, Any]]] = []
        for table, value in (("tags", "value"), ("latest_metrics", "iif(is_nan, NULL, value)"), ("params", "value")):
            values: dict[str, dict[str, Any]] = {row[0]: {} for row in rows}
            words = f"SELECT run_uuid, key, {value} FROM {table} WHERE run_uuid IN (SELECT run_uuid {chosen})"  # noqa: S608
            for run_id, key, content in database.execute(words, (experiment,)):
                values[run_id][key] = math.nan if content is None else content
            parts.append(values)
    return [(run_id, name or "", status, *(part[run_id] for part in parts)) for run_id, name, status in rows]


@contextlib.contextmanager
def no_stray_folder(path: Path) -> Iterator[None]:
    """Remove the folder that MLflow creates inside this context from an address that is not decoded yet."""
    named = Path(sqlite_address(path).removeprefix("sqlite:///")).parent
    new = [folder for folder in (named, *named.parents) if not folder.exists()] if named != path.parent else []
    try:
        yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _root(location: str) -> str:
    """The `file://.../mlartifacts` that a location is in; empty for another kind of location."""
    match = re.match(rf"file:///(.*/)?{ARTIFACTS}(?=/|$)", location)
    return match[0] if match else ""


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=rw", timeout=WAIT_SECONDS, uri=True)
        ) as database:
            yield database
    except sqlite3.Error as error:
        raise UserError(f"{path} is not a usable database: {error}") from None


def _tables_of_mlflow() -> set[str]:
    from mlflow.store.db import utils

    return set(utils.Base.metadata.tables) | set(utils.InitialBase.metadata.tables)


def _remove_journals(path: Path) -> None:
    for suffix in JOURNALS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)

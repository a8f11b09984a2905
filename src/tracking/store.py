"""Where runs are recorded: a SQLite file by default, any MLflow server by one setting."""

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from src.config import ROOT
from src.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CONNECT_SECONDS = 3.0


def store_uri(uri: str | None) -> str:
    """The address as given, or the SQLite file at the project root with its absolute path."""
    return uri or f"sqlite:///{ROOT / 'mlflow.db'}"


def check_store(uri: str) -> None:
    """Say at once, before anything heavy is imported, that a store cannot be used.

    Raises:
        UserError: the scheme is unknown, no server answers, or the database's folder is not there or not writable.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
        except (OSError, ValueError):  # ValueError: a port that is no number, or too large
            raise UserError(
                f"no MLflow server answers at {uri}: start it (`make ui` starts a local one)"
                " or leave tracking.uri out to record in mlflow.db"
            ) from None
    elif parts.scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///"))
        folder = path.absolute().parent
        if not uri.startswith("sqlite:///") or path == Path() or path.is_dir():
            raise UserError(f"tracking.uri must name a database file, sqlite:///PATH/mlflow.db, got {uri}")
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(f"cannot write a database in {folder}: create the folder or set another tracking.uri")
    elif parts.scheme.partition("+")[0] not in ("postgresql", "mysql", "mssql"):
        raise UserError(
            f"tracking.uri must begin with sqlite:///, http://, https://, postgresql:// or mysql://, got {uri}"
        )


def open_store(uri: str, experiment: str) -> "tuple[MlflowClient, str]":
    """A client and the experiment's id; creates database and experiment if they are not there yet.

    Safe to call from several processes at once: a lock beside the SQLite file keeps two from creating it together.

    Raises:
        UserError: the store refuses.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # it prints stack traces of what it raises anyway
    is_file = uri.startswith("sqlite:///")
    path = Path(uri.removeprefix("sqlite:///")).absolute()
    try:
        if not is_file:
            client = MlflowClient(uri)
            return client, _experiment_id(client, experiment, None)
        with FileLock(f"{path}.lock"):
            client = MlflowClient(uri)
            return client, _experiment_id(client, experiment, (path.parent / "mlartifacts").as_uri())
    except MlflowException as error:
        raise UserError(f"the tracking store {uri} refuses: {first_line(error)}") from None
    except ModuleNotFoundError as error:
        raise UserError(f"tracking.uri={uri} needs a driver that is not installed: pip install {error.name}") from None
    except Exception as error:
        if type(error).__module__.startswith("sqlalchemy"):
            raise UserError(f"{uri} is not a usable database: {first_line(error)}") from None
        raise


def first_line(error: Exception) -> str:
    """The first line of an error that may be long."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _experiment_id(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another machine was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(f"the experiment {name} was deleted: restore it or set another tracking.experiment")
    return str(found.experiment_id)

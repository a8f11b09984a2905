"""Where runs are recorded: a SQLite file by default, any MLflow server or database by one setting."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from depthlab.address import TRACKING, Address, recordable, sqlite_address
from depthlab.config.errors import UserError
from depthlab.database import KINDS, check_database, first_line, missing_driver, usable
from depthlab.folders import database

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CONNECT_SECONDS = 5.0
PROBE = "/api/2.0/mlflow/experiments/search"  # a request that only an MLflow server answers


def store_uri(uri: str | None) -> str:
    """The address to record: the given one, else MLFLOW_TRACKING_URI, else the SQLite file at the project root.

    Its password is masked; the environment holds the usable address, see `depthlab.address`.
    """
    return recordable(uri or os.environ.get(TRACKING) or sqlite_address(database()))


def check_store(uri: str) -> None:
    """Check within seconds that a store can be used.

    Raises:
        UserError: the scheme is unknown, no server or database answers or it refuses, or the file cannot be written.
    """
    address = Address.of(uri)
    _check_path_of_mlflow(address)
    if address.is_server:
        try:
            host = urlsplit(address.secret).hostname if urlsplit(address.secret).port != 0 else None
        except ValueError:
            host = None
        if not host:
            raise UserError(f"tracking.uri must be an address such as http://HOST:5000, got {address}")
        _check_server(address)
    elif (path := address.file) is not None:
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise UserError(f"cannot write a database in {path.parent}: create the folder or set another tracking.uri")
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            verb = "write" if os.access(path, os.R_OK) else "read"
            raise UserError(f"cannot {verb} the database {path}: change its permissions or set another tracking.uri")
    elif address.scheme.partition("+")[0] in KINDS:
        check_database(address)
    else:
        raise UserError(
            "tracking.uri must begin with sqlite:///, http://, https://, postgresql:// or mysql://,"
            f" got {address.hide(uri)}"
        )


def set_environment() -> None:
    """Set the variables that MLflow reads when it is imported or used."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints the address with its password


def open_store(uri: str, experiment: str | None, create: bool = True) -> "tuple[MlflowClient, str]":
    """A client and the experiment's id, which is empty if no experiment is named.

    Safe to call from several processes at once: a lock beside the SQLite file keeps two from creating it together.

    Args:
        create: create database and experiment if they do not exist.

    Raises:
        UserError: the store refuses, or database or experiment do not exist and `create` is false.
    """
    set_environment()
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # it prints stack traces of what it raises anyway
    if experiment is not None and not experiment.isprintable():
        raise UserError(f"tracking.experiment must be one line of printable characters, got {experiment!r}")
    address = Address.of(uri)
    _check_path_of_mlflow(address)
    try:
        if (path := address.file) is not None:
            from depthlab.tracking import sqlite

            with FileLock(f"{path}.lock"):
                if sqlite.is_absent(path):
                    if not create:
                        raise UserError(f"there is no database {path}")
                    sqlite.create(path)
                sqlite.move_artifacts(path)
                with sqlite.no_stray_folder(path):
                    client = MlflowClient(sqlite_address(path))
                return client, _experiment_id(client, address, experiment, sqlite.artifacts_of(path), create)
        if not address.is_server:
            check_database(address)
            client = MlflowClient(usable(address).render_as_string(hide_password=False))
        else:
            client = MlflowClient(address.secret)
        return client, _experiment_id(client, address, experiment, None, create)
    except MlflowException as error:
        raise UserError(refusal(address, error)) from None
    except ModuleNotFoundError as error:
        raise UserError(missing_driver(address, error)) from None
    except Exception as error:
        if type(error).__module__.startswith("sqlalchemy"):
            raise UserError(f"{address} is not a usable database: {address.hide(first_line(error))}") from None
        raise


def _check_path_of_mlflow(address: Address) -> None:
    """Refuse a database where MLflow is installed below a folder with % in its name: Alembic reads it as a variable."""
    package = find_spec("mlflow")
    if not address.is_server and package and "%" in str(package.origin):
        raise UserError(
            f"MLflow cannot use a database while it is installed in {Path(str(package.origin)).parent}, a path with %:"
            " rename the folder, or create the environment in another one"
        )


def no_answer(uri: str, error: Exception) -> UserError:
    """The error to raise if an open store fails."""
    return UserError(f"the tracking store {uri} does not answer: {Address.of(uri).hide(first_line(error))}")


def refusal(address: Address, error: Exception) -> str:
    """The error message for an exception of MLflow."""
    if "out-of-date database schema" in str(error):
        return (
            f"the tracking store {address} was made by another version of MLflow: save a copy of it, then run"
            " `mlflow db upgrade` with its address"
        )
    return f"the tracking store {address} refuses: {address.hide(first_line(error))}"


def _check_server(address: Address) -> None:
    """Check a server with the proxies, certificates and credentials of MLflow's own client."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    try:
        credentials = get_default_host_creds(address.secret)
        answer = http_request(
            credentials, PROBE, "GET", max_retries=0, timeout=CONNECT_SECONDS, raise_on_status=False,
            params={"max_results": 1},
        )  # fmt: skip
    except (MlflowException, ValueError, OSError) as error:
        text = address.hide(first_line(error))
        reason = " in time" if "timed out" in text.lower() else f" ({text})" if "Max retries" not in text else ""
        raise UserError(
            f"no MLflow server answers at {address}{reason}: start it, or record in mlflow.db: omit tracking.uri, and"
            " unset MLFLOW_TRACKING_URI"
        ) from None
    if answer.status_code in (401, 403):
        text = address.hide(" ".join(answer.text.split())[:100])
        raise UserError(
            f"the server at {address} refuses ({answer.status_code} {text}): give credentials as"
            " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    try:
        experiments = answer.status_code == 200 and isinstance(answer.json(), dict)
    except ValueError:
        experiments = False
    if not experiments:
        raise UserError(
            f"the server at {address} is not a working MLflow server (status {answer.status_code}): correct"
            " tracking.uri, or repair the server"
        )


def _experiment_id(
    client: "MlflowClient", address: Address, name: str | None, artifacts: str | None, create: bool
) -> str:
    from mlflow.exceptions import MlflowException

    if name is None:
        return ""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        if not create:
            raise UserError(f"there is no experiment {name} in {address}: correct tracking.experiment or tracking.uri")
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another machine created it first
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise UserError(f"the experiment {name} was deleted: restore it or set another tracking.experiment")
    return str(experiment.experiment_id)

"""A server is asked as MLflow's own client asks it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthlab.config.errors import UserError
from depthlab.tracking import store
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.tracking.store import check_store, open_store, store_uri
from tests.tracking_server import Server, tracking_server

USER, PASSWORD = "me", "p@ss/w?rd"


@pytest.fixture
def server(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    database = Path(shutil.copy(empty_store, tmp_path / "served.db"))
    with tracking_server(database, monkeypatch, USER, PASSWORD) as running:
        yield running


def test_credentials_in_the_address(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    uri = store_uri(server.address)
    assert uri == f"http://***@127.0.0.1:{server.port}"
    check_store(uri)
    run = TrackedRun(uri, "mine", "name", {"a": 1}, {})
    run.log({"loss": 1.0})
    run.text("content", "file.txt")
    run.finish("FINISHED", "finished")
    records = Records(uri, "mine", create=False)
    (found,) = records.runs()
    assert (found.metrics, found.params) == ({"loss": 1.0}, {"a": "1"})
    assert records.file(found.run_id, "file.txt", tmp_path) is not None
    with pytest.raises(UserError, match=rf"^there is no experiment other in {re.escape(uri)}: "):
        open_store(uri, "other", create=False)


def test_credentials_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = f"http://127.0.0.1:{server.port}"
    with pytest.raises(UserError, match=r"refuses \(401 who are you\?\): give credentials as MLFLOW_TRACKING_USER"):
        check_store(plain)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    check_store(plain)


def test_server_behind_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake server is the proxy: what it is asked for is on a machine that only it can reach."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "")
    server.user = ""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    check_store("http://mlflow.invalid:5000")
    assert any("mlflow/experiments/search" in path for path in server.asked)


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("rubbish", r"^the server at {uri} is not a working MLflow server \(status 200\): "),
        ("away", r"^the server at {uri} is not a working MLflow server \(status 503\): "),
        ("never", r"^no MLflow server answers at {uri} in time: start it"),
    ],
)
def test_server_that_does_not_work(server: Server, monkeypatch: pytest.MonkeyPatch, mode: str, sentence: str) -> None:
    monkeypatch.setattr(store, "CONNECT_SECONDS", 1.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    uri = store_uri(server.address)
    server.become(mode)
    with pytest.raises(UserError, match=sentence.format(uri=re.escape(uri))) as error:
        check_store(uri)
    assert "p@ss" not in str(error.value)
    assert "p%40ss" not in str(error.value)

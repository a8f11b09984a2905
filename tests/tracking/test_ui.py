"""The server of the records: its command, its environment, and errors."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.cli import cli

from depthlab.config.errors import UserError
from depthlab.folders import CHECKOUT
from depthlab.tracking import ui
from depthlab.tracking.store import open_store, store_uri
from depthlab.tracking.ui import (
    chart_link,
    free_port,
    how_to_compare,
    how_to_see,
    layers_link,
    run_link,
    server_command,
    server_environment,
)


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port where something listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def _unused() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_chart_link() -> None:
    link = chart_link(5001, "7")
    assert link.startswith("http://127.0.0.1:5001/#/experiments/7/runs?")
    assert "compareRunsMode=CHART" in link


CHART = "#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART&searchFilter="


@pytest.mark.parametrize(
    ("where", "page"),
    [
        (how_to_see, "#/experiments/7/runs/cora/model-metrics?workflowType=machine_learning"),
        (how_to_compare, f"{CHART}tags.kind%20%3D%20%27study%27%20and%20tags.study%20%3D%20%27cora%27"),
    ],
)
def test_where_records_are_drawn_depends_on_the_store(where: Callable[[str, str, str], str], page: str) -> None:
    assert where(store_uri(None), "7", "cora") == f"depthlab ui, then http://127.0.0.1:5000/{page}"
    assert where("http://host:8080/", "7", "cora") == f"http://host:8080/{page}"
    assert "depthlab ui --uri sqlite:///other.db" in where("sqlite:///other.db", "7", "cora")


def test_printed_links_have_the_port_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_PORT", "5071")
    uri = store_uri(None)
    assert how_to_see(uri, "7", "a").startswith("depthlab ui, then http://127.0.0.1:5071/")
    assert run_link(uri, "7", "a") == "http://127.0.0.1:5071/#/experiments/7/runs/a?workflowType=machine_learning"
    assert layers_link("http://host:8080", "7", "a").startswith(
        "http://host:8080/#/experiments/7/runs/a/artifacts/layers"
    )


@pytest.mark.parametrize("typed", ["", "0", "70000", "x", "²"])
def test_a_wrong_port_in_the_environment(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setenv("MLFLOW_PORT", typed)
    if not typed:
        assert "127.0.0.1:5000" in run_link(store_uri(None), "7", "a")
        return
    with pytest.raises(UserError, match="MLFLOW_PORT must be a number from 1 to 65535, got"):
        run_link(store_uri(None), "7", "a")


def test_server_listens_only_on_this_machine() -> None:
    command = server_command(5001, CHECKOUT / "mlartifacts")
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert options == {
        "--host": "127.0.0.1", "--port": "5001", "--workers": "1",
        "--artifacts-destination": str(CHECKOUT / "mlartifacts"),
    }  # fmt: skip


def test_server_knows_the_options() -> None:
    known = {name for option in cli.commands["server"].params for name in option.opts}
    for option in (word for word in server_command(0, CHECKOUT) if word.startswith("--")):
        assert option in known


def test_server_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYTHING", "else")
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true")
    environment = server_environment("postgresql://me@there/db")
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert (
        environment.items()
        >= {
            "ANYTHING": "else",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_BACKEND_STORE_URI": "postgresql://me@there/db",
        }.items()
    )
    assert os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "true"


def test_free_port(used_port: int) -> None:
    port = _unused()
    assert free_port(port) == port
    with pytest.raises(UserError, match=f"^port {used_port} is in use: choose another with `depthlab ui --port ...`$"):
        free_port(used_port)


def test_main_on_a_used_port(used_port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "src.ui", "--port", str(used_port)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: port {used_port} is in use: choose another with `depthlab ui --port ...`\n"


def test_main_with_a_store_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--port", str(_unused()), "--uri", f"sqlite:///{tmp_path}/missing/records.db"]
    monkeypatch.setattr(sys, "argv", ["ui", *arguments])
    with pytest.raises(UserError, match=r"^cannot write a database in "):
        ui.main()


def test_main_starts_the_server_and_names_the_charts(
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(empty_store, tmp_path / "records.db")
    uri, port = f"sqlite:///{tmp_path}/records.db", _unused()
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *args: started.append(args))
    monkeypatch.setattr(sys, "argv", ["ui", "--port", str(port), "--uri", uri, "--experiment", "mine"])
    monkeypatch.chdir(tmp_path)
    ui.main()
    environment = server_environment(uri) | {"MLFLOW_BACKEND_STORE_URI": "sqlite:///records.db"}
    assert started == [(sys.executable, server_command(port, tmp_path / "mlartifacts"), environment)]
    assert Path.cwd() == tmp_path
    assert chart_link(port, open_store(uri, "mine")[1]) in capsys.readouterr().out

"""`depthlab ui --port 5000`: start a lean MLflow server, reachable from this machine only, and print its link."""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import quote

from depthlab.address import TRACKING, Address
from depthlab.cli import guarded
from depthlab.config.command_line import Options
from depthlab.config.errors import UserError
from depthlab.folders import root
from depthlab.tracking.sqlite import ARTIFACTS
from depthlab.tracking.store import check_store, open_store, store_uri

HOST, UI_PORT = "127.0.0.1", 5000
PORT = "MLFLOW_PORT"  # environment variable, which MLflow's own server reads too
CLASSIC = "workflowType=machine_learning"  # without it MLflow shows its pages for language models


def ui_port() -> int:
    """The port of `depthlab ui` and of printed links: MLFLOW_PORT, by default 5000.

    Raises:
        UserError: MLFLOW_PORT is not a port.
    """
    typed = os.environ.get(PORT) or str(UI_PORT)
    if not typed.isascii() or not typed.isdigit() or not 0 < int(typed) < 65536:
        raise UserError(f"{PORT} must be a number from 1 to 65535, got {typed}: correct it or leave it out")
    return int(typed)


def chart_link(port: int, experiment_id: str) -> str:
    """The page of an experiment that draws its runs; the plain address opens on an empty one."""
    return f"http://{HOST}:{port}/#/experiments/{experiment_id}/runs?{CLASSIC}&compareRunsMode=CHART"


def how_to_see(uri: str, experiment_id: str, run_id: str) -> str:
    """Where the metrics of a run are drawn, by epoch or by layer."""
    return _page(uri, f"#/experiments/{experiment_id}/runs/{run_id}/model-metrics?{CLASSIC}")


def layers_link(uri: str, experiment_id: str, run_id: str) -> str:
    """The URL of a run's page with its measures by layer, `layers.html`."""
    return f"{_start(uri)}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/layers.html?{CLASSIC}"


def run_link(uri: str, experiment_id: str, run_id: str) -> str:
    """The URL of a run page; for a database it exists once `depthlab ui` serves it."""
    return f"{_start(uri)}/#/experiments/{experiment_id}/runs/{run_id}?{CLASSIC}"


def _start(uri: str) -> str:
    address = Address.of(uri)
    return str(address.link) if address.is_server else f"http://{HOST}:{ui_port()}"


def _page(uri: str, page: str) -> str:
    address = Address.of(uri)
    if address.is_server:
        return f"{address.link}/{page}"
    if uri == store_uri(None):
        serve = "depthlab ui" if uri == str(address.secret) else f"depthlab ui with {TRACKING} set to the address"
    else:
        serve = f"depthlab ui --uri {uri}"
    return f"{serve}, then http://{HOST}:{ui_port()}/{page}"


def how_to_compare(uri: str, experiment_id: str, study: str) -> str:
    """Where the methods of a study are drawn against depth."""
    methods = quote(f"tags.kind = 'study' and tags.study = '{study}'")
    page = f"runs?{CLASSIC}&compareRunsMode=CHART&searchFilter={methods}"
    return _page(uri, f"#/experiments/{experiment_id}/{page}")


def server_command(port: int, artifacts: Path) -> list[str]:
    """MLflow's server with one worker, open to this machine only; the address of the store is in the environment."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    return [*command, "--artifacts-destination", str(artifacts)]


def server_environment(uri: str) -> dict[str, str]:
    """The address of the store, which the list of processes would show to everyone; no job runners, no telemetry.

    A SQLite file is named relative to its folder, where the server is started: MLflow would otherwise create a folder
    with the name of the encoded path.
    """
    address = Address.of(uri)
    backend = address.secret if address.file is None else f"sqlite:///{quote(address.file.name)}"
    return {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": backend,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a dozen processes that serve other uses
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONSAFEPATH": "1",  # nothing in that folder is imported
    }


def free_port(port: int) -> int:
    """The port itself; raises UserError if something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OverflowError:
            raise UserError(f"port must be a number up to 65535, got {port}") from None
        except OSError:
            raise UserError(f"port {port} is in use: choose another with `depthlab ui --port ...`") from None
    return port


def main() -> None:
    parser = Options(prog="depthlab ui", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=ui_port(), help=f"default: that of {PORT}, else {UI_PORT}")
    parser.add_argument(
        "--uri", help=f"database to show (default: that of {TRACKING}, else mlflow.db in the project folder)"
    )
    default = os.environ.get("MLFLOW_EXPERIMENT_NAME", "depthlab")
    parser.add_argument("--experiment", default=default, help="experiment that the link opens")
    options = parser.parse_args()
    port, uri = free_port(options.port), store_uri(options.uri)
    address = Address.of(uri)
    if address.is_server:
        raise UserError(f"{address} is already a server: open {address.link}")
    check_store(uri)
    _, experiment_id = open_store(uri, options.experiment)
    print("starting MLflow, about ten seconds; Ctrl-C ends it. Charts of all runs:", flush=True)
    print(f"  {chart_link(port, experiment_id)}", flush=True)
    print(
        "charts of one run: click its name, then 'Model metrics'; a section is named by its step",
        flush=True,
    )
    folder = address.file.parent if address.file else root()
    os.chdir(folder)
    command = server_command(port, folder / ARTIFACTS)
    os.execve(command[0], command, server_environment(uri))  # noqa: S606, the server takes this process's place


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)

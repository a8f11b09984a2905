"""`make ui`: a lean MLflow server on this machine alone, and the link that opens on charts.

python -m src.tracking.ui --port 5000
"""

import argparse
import os
import socket
import sys
from urllib.parse import quote

from src.config import ROOT
from src.errors import UserError
from src.tracking.store import check_store, open_store, store_uri

HOST, UI_PORT = "127.0.0.1", 5000


def chart_link(port: int, experiment_id: str) -> str:
    """The page of an experiment that draws its runs; the plain address opens on an empty one."""
    return (
        f"http://{HOST}:{port}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    )


def how_to_see(uri: str, experiment_id: str, run_id: str) -> str:
    """Where the metrics of one run are drawn, by epoch or, where the step is a layer, by layer."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/model-metrics"
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/{page}"
    return f"{_serve(uri)}, then http://{HOST}:{UI_PORT}/{page}"


def _serve(uri: str) -> str:
    return "make ui" if uri == store_uri(None) else f'make ui ARGS="--uri {uri}"'


def how_to_compare(uri: str, experiment_id: str, study: str) -> str:
    """Where the lines of a study are drawn against depth."""
    lines = quote(f"tags.kind = 'study' and tags.study = '{study}'")
    page = f"runs?workflowType=machine_learning&compareRunsMode=CHART&searchFilter={lines}"
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/{page}"
    return f"{_serve(uri)}, then http://{HOST}:{UI_PORT}/#/experiments/{experiment_id}/{page}"


def server_command(port: int, uri: str) -> list[str]:
    """MLflow's server with one worker, bound to this machine."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    return [*command, "--backend-store-uri", uri, "--artifacts-destination", str(ROOT / "mlartifacts")]


def server_environment() -> dict[str, str]:
    """Without MLflow's job runners, a dozen processes that serve other uses, and without telemetry."""
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def free_port(port: int) -> int:
    """The port itself; raises UserError if something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OverflowError:
            raise UserError(f"port must be a number up to 65535, got {port}") from None
        except OSError:
            raise UserError(f"port {port} is taken: choose another, `make ui PORT=...`") from None
    return port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.tracking.ui", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=UI_PORT)
    parser.add_argument("--uri", help="database to show; mlflow.db at the project root if left out")
    parser.add_argument("--experiment", default="depthlab", help="experiment that the link opens")
    options = parser.parse_args()
    try:
        port, uri = free_port(options.port), store_uri(options.uri)
        check_store(uri)
        _, experiment_id = open_store(uri, options.experiment)
    except UserError as error:
        sys.exit(f"error: {error}")
    print("starting MLflow, about ten seconds; Ctrl-C ends it. Charts of all runs:", flush=True)
    print(f"  {chart_link(port, experiment_id)}", flush=True)
    print(
        "charts of one run: click its name, then 'Model metrics'; the step of energy and rank is the layer", flush=True
    )
    command = server_command(port, uri)
    os.execve(command[0], command, server_environment())  # noqa: S606, the server takes this process's place


if __name__ == "__main__":
    main()

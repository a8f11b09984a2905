"""`depthlab close RUN_ID`: close a run whose process was killed on another machine."""

from typing import TYPE_CHECKING

from depthlab.cli import guarded
from depthlab.config.command_line import Options
from depthlab.config.errors import UserError
from depthlab.tracking.owner import describe, is_alive
from depthlab.tracking.store import check_store, store_uri

if TYPE_CHECKING:
    from depthlab.tracking.search import Records


def close(records: "Records", run_id: str) -> None:
    """Close a run as interrupted.

    Raises:
        UserError: there is no such run, it has ended, or its process is alive on this machine.
    """
    run = records.run(run_id)
    if run is None:
        raise UserError(f"there is no run {run_id} in {records.uri}")
    if run.status != "RUNNING":
        raise UserError(f"the run {run_id} has ended already, with status {run.status}")
    process = run.owner
    if is_alive(process):
        raise UserError(f"the run {run_id} is still running: stop {describe(process)} first")
    records.close(run_id, "interrupted")


def main() -> None:
    """Read the command line and close the run."""
    parser = Options(prog="depthlab close", description=__doc__)
    parser.add_argument("run_id", help="ID of the run, as a study or MLflow shows it")
    parser.add_argument("--uri", help="tracking store (default: mlflow.db in the project folder)")
    parser.add_argument("--experiment", default="depthlab", help="experiment of the run")
    options = parser.parse_args()
    uri = store_uri(options.uri)
    check_store(uri)
    from depthlab.tracking.search import Records

    close(Records(uri, options.experiment, create=False), options.run_id)
    print(f"the run {options.run_id} is closed")


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)

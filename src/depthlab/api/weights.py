"""Find the weights of a run: a checkpoint file, or its recorded model."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from depthlab.address import Address
from depthlab.config.errors import UserError
from depthlab.files import load_torch, unreadable
from depthlab.tracking.search import Records
from depthlab.tracking.store import check_store, store_uri
from depthlab.training.identity import FINAL, LAST

NEEDED = ("config", "state_dict")
PLACES = (f"model/{FINAL}", FINAL)  # artifact path in a run; earlier versions used the second


def read_weights(source: str | os.PathLike[str], uri: str | None = None) -> dict[str, Any]:
    """Read a run's final checkpoint without executing code.

    Args:
        source: ID of a run, a checkpoint, or the folder of a run's checkpoints.
        uri: tracking store of the run; by default `MLFLOW_TRACKING_URI`, else `mlflow.db` in the project folder.

    Raises:
        UserError: there is no such run or file, the run stores no weights, or the file is not a final checkpoint.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / FINAL
    if path.is_file():
        return read_checkpoint_file(path, str(path))
    if path.suffix == ".ckpt" or len(path.parts) > 1:
        raise UserError(f"there is no checkpoint {path}: give the path of a {FINAL}, or the ID of a run")
    return _recorded(str(source), store_uri(uri))


def _recorded(run_id: str, uri: str) -> dict[str, Any]:
    check_store(uri)
    database = Address.of(uri).file
    if database and not database.is_file():
        raise UserError(f"there is no database {database} with the run {run_id}: give the address of another")
    records = Records(uri, None, create=False)
    run = records.run(run_id)
    if run is None:
        raise UserError(f"there is no run {run_id} in {records.uri}: give an ID as `depthlab train` prints it")
    with TemporaryDirectory() as folder:
        for place in PLACES:
            if path := records.file(run_id, place, Path(folder)):
                return read_checkpoint_file(path, f"the weights of the run {run.name}")
    outcome = run.tags.get("outcome", "")
    if run.tags.get("kind") or outcome not in ("finished", "diverged"):
        what = run.tags.get("kind") or outcome or "unknown"
        raise UserError(f"the run {run.name} ({what}) has no weights: give the ID of a finished run")
    again = "tracking.artifacts=[config,figures,model]"
    raise UserError(f"the run {run.name} keeps no weights: train it again with {again}, or give its {FINAL}")


def read_checkpoint_file(path: Path, name: str) -> dict[str, Any]:
    """Read a final checkpoint; errors call it `name`."""
    try:
        content: Any = load_torch(path, map_location="cpu")
    except Exception as error:  # errors of a damaged file have no common type
        raise unreadable(Path(name), error) from None
    if not isinstance(content, dict) or any(key not in content for key in NEEDED):
        hint = f"{LAST} is that of a training that can be resumed" if path.name == LAST else f"give a {FINAL}"
        raise UserError(f"{name} is not the final checkpoint of a run: {hint}")
    return content

"""The storage of a sweep's trials: a journal file or a database, shared by any number of processes."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import IntegrityError

from depthlab.address import Address
from depthlab.config.errors import UserError
from depthlab.database import check_database, first_line, usable

CREATE_TRIES, CREATE_SECONDS = 20, 0.2  # while another command creates the tables
FIRST = b'{"op_code":'  # bytes of a journal


class _Lock:
    """A lock of the operating system on a journal: unlike Optuna's, it ends with a process that is killed.

    It removes an incomplete last line, after which Optuna could no longer read what it appends.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if size and file.read() != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._lock.release()


def open_storage(address: str) -> Any:
    """The storage at a path or a database's address.

    Raises:
        UserError: it cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "://" in address:
        return _open_database(Address.of(address, "storage"))
    path = Path(address).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.exists():
            with path.open("rb") as file:
                first = file.read(len(FIRST))
            if not FIRST.startswith(first):
                raise ValueError(f"a journal does not begin with {first!r}")
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), _Lock(path)))  # type: ignore[arg-type]
    except (ValueError, KeyError):
        raise UserError(f"{address} is not an Optuna journal: set another one with storage=FILE.journal") from None


def _open_database(address: Address) -> Any:
    if address.scheme.startswith("sqlite"):
        _ = address.file  # refuses one that is none
    check_database(address)
    try:
        return _create_tables(usable(address).render_as_string(hide_password=False))
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("sqlalchemy", "optuna"):
            reason = address.hide(first_line(error))
            raise UserError(f"no database answers at storage={address}: {reason}") from None
        raise


def _create_tables(address: str) -> Any:
    """Optuna creates its tables when first opened, which fails while another command does the same: try again."""
    for _ in range(CREATE_TRIES):
        try:
            return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            if "already exists" not in str(error) and not isinstance(error, IntegrityError):
                raise
        time.sleep(CREATE_SECONDS)
    return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})


def open_study(
    storage: Any,
    name: str,
    directions: Sequence[Literal["minimize", "maximize"]],
    content: Mapping[str, Any],
    pruner: optuna.pruners.BasePruner,
) -> optuna.Study:
    """The study of this name; creates it if there is none.

    Args:
        content: `Search.content`; a study of that name with another content is refused.

    Raises:
        UserError: the name belongs to another space, objective, network or graph.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True, pruner=pruner
    )
    known = study.user_attrs.get("content")
    if known is None:
        study.set_user_attr("content", dict(content))
        return study
    different = [key for key in content if known.get(key) != content[key]]
    if different:
        raise UserError(
            f"the sweep {name} has another {', '.join(different)}: give this one a name of its own, study_name=..."
        )
    return study

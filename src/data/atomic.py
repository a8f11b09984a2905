"""Files of tensors that are either whole or not there, and known by what they were made from."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock

from src.errors import UserError

Made = TypeVar("Made")


def save_whole(content: object, path: Path) -> None:
    """`torch.save` under a temporary name, then moved into place: no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        torch.save(content, part)
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def kept(load: Callable[[], Made | None], make: Callable[[], Made], lock: Path) -> Made:
    """What is loaded, made only where there is nothing to load: of several processes one makes it, the others wait.

    Args:
        load: None if it is not there, or was made from something else.
        make: makes it, keeps it and returns it.
        lock: the file that the others wait for; its folder is made.
    """
    found = load()
    if found is None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            found = load()
            if found is None:
                found = make()
    return found


def write_prepared(content: dict[str, Any], path: Path, fingerprint: str, format: int) -> None:
    """Write tensors and numbers as a file that `read_prepared` reads."""
    save_whole(content | {"fingerprint": fingerprint, "format": format}, path)


def read_prepared(path: Path, fingerprint: str, format: int, make: Callable[[dict[str, Any]], Made]) -> Made | None:
    """What `make` makes of a prepared file, or None if there is none or it was made from something else.

    Raises:
        UserError: the file is there and cannot be read.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, weights_only=True)
        found = (content.pop("fingerprint"), content.pop("format"))
        made = make(content)
    except Exception as error:  # a torn zip raises RuntimeError, EOFError, UnpicklingError, KeyError, ...
        raise UserError(f"{path} is corrupt ({type(error).__name__}): delete it, it is made again") from None
    return made if found == (fingerprint, format) else None

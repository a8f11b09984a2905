"""Files and folders that are either whole or not there, and known by what they were made from."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock

from src.errors import UserError, full_disk, lacks_memory

Made = TypeVar("Made")

# what a whole file may be refused with; a torn one may be with EINVAL
NOT_THE_FILE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder under, which is then moved to `path`: no reader ever sees half of it.

    It is always the same name beside `path`: what is left of a process that was killed is removed by the next. So one
    process at a time may write (`lock_of`).

    Raises:
        OSError: it cannot be written; a full disk is told with the path, which neither a stream nor torch names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _remove(part)
    try:
        yield part
        if part.is_dir() and path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    except Exception as error:
        if full := full_disk(error):
            raise OSError(full.errno, full.strerror, str(path)) from error
        raise
    finally:
        _remove(part)


def save_whole(content: object, path: Path) -> None:
    """`torch.save` as `whole` writes: by one process at a time."""
    with whole(path) as part, part.open("wb") as file:
        torch.save(content, file)


def lock_of(path: Path) -> FileLock:
    """What a process holds while it writes a file or folder that others may want too; the folder around it is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"))


def kept(load: Callable[[], Made | None], make: Callable[[], Made], path: Path) -> Made:
    """What is loaded, made only where there is nothing to load: of several processes one makes it, the others wait.

    Args:
        load: None if it is not there, or was made from something else.
        make: makes it, keeps it and returns it.
        path: of what is kept; the lock lies beside it.

    Raises:
        UserError: it is there and cannot be read, also when nobody else is writing it.
    """
    try:
        found = load()
    except UserError:
        found = None
    if found is None:
        with lock_of(path):
            found = load()
            if found is None:
                found = make()
    return found


def unreadable(path: Path, error: Exception, damage: str = "") -> Exception:
    """What is raised about a file or folder that cannot be read: only what is damaged is to be made again.

    Args:
        damage: what is said of a damaged one, and what to do; that it was made here and will be again, by default.
    """
    if lacks_memory(error):
        return error
    if isinstance(error, OSError) and error.errno in NOT_THE_FILE:
        return UserError(f"{path} cannot be read ({error.strerror}), it may be whole: mend that and start again")
    return UserError(f"{path} {damage or f'is corrupt ({type(error).__name__}): delete it, it is made again'}")


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
        raise unreadable(path, error) from None
    return made if found == (fingerprint, format) else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

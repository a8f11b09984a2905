"""Writes files and folders atomically, with a checksum if they are read again."""

import errno
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock

from depthlab.config.errors import ChecksumError, DamagedError, UserError, full_disk, lacks_memory

T = TypeVar("T")

# errors of opening a file that do not depend on its content; a damaged file may raise EINVAL
NOT_THE_CONTENT = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)
MARK = b"\nsha256 "  # begins the line that `append_checksum` adds
LINE = len(MARK) + 64 + 1  # bytes of that line
END, LEN_END = b"PK\x05\x06", 22  # start and length of the last record of a zip file without a comment


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` for a file or folder, which is moved to `path` once it is complete and on disk.

    The temporary name is always the same, so the next call removes the file of a killed process. Only one process may
    write at a time: hold `lock_of(path)` if another could. A replaced folder is never lost: if the process is killed
    between the two moves, the folder is in `.NAME.old`, and the next call moves it back.

    Raises:
        OSError: the file cannot be written. The error of a full disk has the path, which torch and streams leave out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = path.with_name(f"{path.name}.part"), path.with_name(f".{path.name}.old")
    _remove(part)
    if old.is_dir() and not path.exists():
        old.replace(path)
    try:
        yield part
        _flush(part)
        if part.is_dir() and path.is_dir():  # a folder cannot be replaced atomically
            _remove(old)
            path.replace(old)
        part.replace(path)
        _sync(path.parent)
        if old.is_dir():
            _remove(old)
    except Exception as error:
        if full := full_disk(error):
            raise OSError(full.errno, full.strerror, str(path)) from error
        raise
    finally:
        _remove(part)
        if old.is_dir() and not path.exists():
            old.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, digits: int | None = None) -> None:
    """Write a JSON file atomically; NaN and infinity, which JSON does not have, become null.

    Args:
        digits: significant digits of floating-point numbers; all of them if left out.
    """
    write_text(path, json.dumps(finite(content, digits), indent=2, allow_nan=False) + "\n")


def finite(content: Any, digits: int | None = None) -> Any:
    """A copy of dicts, lists and numbers with None in place of NaN and infinity, and floats rounded as asked for."""
    if isinstance(content, dict):
        return {key: finite(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value, digits) for value in content]
    if not isinstance(content, float) or (digits is None and math.isfinite(content)):
        return content
    return float(f"{content:.{digits}g}") if math.isfinite(content) else None


def save_torch(content: object, path: Path) -> None:
    """`torch.save`, atomically and with a checksum at the end, which `torch.load` ignores."""
    import torch  # its import takes a second, and most commands that write files do not need it

    with atomic_write(path) as part:
        with part.open("wb") as file:
            torch.save(content, file)
        append_checksum(part)


def load_torch(path: Path, **options: Any) -> Any:
    """`torch.load` of a file whose checksum matches; nothing in it is executed.

    Args:
        options: those of `torch.load`, such as `map_location`.

    Raises:
        ChecksumError: the checksum is missing or does not match.
        Exception: what `torch.load` raises, which has no common type.
    """
    import torch

    verify_checksum(path)
    return torch.load(path, weights_only=True, **options)


def append_checksum(path: Path) -> None:
    """Add a last line `sha256 <hex digest>` of all bytes before it."""
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size)
        file.seek(0, os.SEEK_END)
        file.write(MARK + digest + b"\n")


def verify_checksum(path: Path) -> None:
    """Raise ChecksumError unless the last line is the checksum of all bytes before it."""
    size = path.stat().st_size - LINE
    if size < 0 or is_older(path):
        raise ChecksumError("it has no checksum")
    with path.open("rb") as file:
        digest = _digest(file, size)
        if file.read() != MARK + digest + b"\n":
            raise ChecksumError("its checksum does not match")


def is_older(path: Path) -> bool:
    """Whether a file ends as `torch.save` ends it: earlier versions appended no checksum."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LEN_END))
        return file.read(len(END)) == END


def sha256(path: Path) -> str:
    """SHA-256 of a file's content as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file's content as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def lock_of(path: Path) -> FileLock:
    """The lock to hold while writing a file or folder that other processes may write; creates its parent folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"))


def cached(load: Callable[[], T | None], make: Callable[[], T], path: Path) -> T:
    """Load a file or folder, or create it if it is absent, out of date or damaged; one process creates it, others wait.

    Args:
        load: returns the content, None if it is absent or out of date; raises DamagedError if it is damaged.
        make: creates the content, saves it and returns it.
        path: the file or folder; its lock file is beside it.

    Raises:
        UserError: it exists and cannot be read, even under the lock.
    """
    try:
        content = load()
    except UserError:
        content = None
    if content is None:
        with lock_of(path):
            try:
                content = load()
            except DamagedError as damage:
                print(f"{damage}: it is created again", file=sys.stderr)
            if content is None:
                content = make()
    return content


def unreadable(path: Path, error: Exception, damage: str = "") -> Exception:
    """The error to raise about a file or folder that cannot be read.

    Args:
        damage: for a user's file, what is wrong if it is damaged, and what to do. Without it the program wrote the
            file, and the error is a DamagedError.
    """
    if lacks_memory(error):
        return error
    if isinstance(error, OSError) and error.errno in NOT_THE_CONTENT:
        return UserError(f"{path} cannot be read ({error.strerror}) but may be intact: fix this and start again")
    if damage:
        return UserError(f"{path} {damage}")
    reason = str(error) if isinstance(error, ChecksumError) else type(error).__name__
    return DamagedError(f"{path} is damaged ({reason})")


def write_prepared(content: dict[str, Any], path: Path, fingerprint: str, format: int) -> None:
    """Write tensors and numbers as a file that `read_prepared` reads."""
    save_torch(content | {"fingerprint": fingerprint, "format": format}, path)


def read_prepared(path: Path, fingerprint: str, format: int, make: Callable[[dict[str, Any]], T]) -> T | None:
    """`make` of the content of a prepared file; None if there is no file, or one with another fingerprint or format.

    Raises:
        UserError: the file cannot be read (DamagedError: its bytes are not those that were written).
    """
    if not path.is_file():
        return None
    try:
        if is_older(path):
            return None
        content = load_torch(path)
        stored = (content.pop("fingerprint"), content.pop("format"))
        result = make(content)
    except Exception as error:  # errors of a damaged zip have no common type
        raise unreadable(path, error) from None
    return result if stored == (fingerprint, format) else None


def _digest(file: BinaryIO, size: int) -> bytes:
    """Hex digest of the next `size` bytes."""
    digest = hashlib.sha256()
    while size and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()


def _flush(path: Path) -> None:
    """Flush a file, or a folder with everything in it, to disk."""
    for inner in path.rglob("*") if path.is_dir() else ():
        _sync(inner)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks do not support fsync of folders
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

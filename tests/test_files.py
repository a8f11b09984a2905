"""Files are complete or absent: on a full disk, after a kill, and while another process reads."""

import errno
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock, Timeout

from depthlab import files
from depthlab.cli import explain
from depthlab.config.errors import ChecksumError, DamagedError, UserError
from depthlab.files import (
    atomic_write,
    cached,
    load_torch,
    lock_of,
    read_prepared,
    save_torch,
    write_json,
    write_prepared,
    write_text,
)


@pytest.fixture
def group_writes() -> Iterator[None]:
    """New files may be changed by the group of their owner."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def test_the_folder_is_created_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    save_torch({"a": torch.arange(3)}, tmp_path / "new" / "file.pt")
    assert torch.equal(torch.load(tmp_path / "new" / "file.pt", weights_only=True)["a"], torch.arange(3))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.pt"]


def test_a_full_disk_leaves_the_old_file_and_ends_in_one_sentence(tmp_path: Path, no_room: None) -> None:
    (tmp_path / "file.pt").write_text("old")
    with pytest.raises(OSError, match="File too large") as error:
        save_torch(torch.ones(100_000), tmp_path / "file.pt")
    assert str(explain(error.value)).startswith(f"cannot write {tmp_path / 'file.pt'}, files may not become so large")
    assert (tmp_path / "file.pt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.pt"]


@pytest.mark.parametrize("error", [KeyError("x"), PermissionError(errno.EACCES, "Permission denied", "b")])
def test_other_errors_are_not_changed(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as found, atomic_write(tmp_path / "a"):
        raise error
    assert found.value is error


@pytest.mark.parametrize("left", ["file", "folder"])
def test_a_temporary_file_of_a_killed_process_is_removed(tmp_path: Path, left: str) -> None:
    with atomic_write(tmp_path / "a") as part:
        part.touch()
    if left == "file":
        part.write_bytes(b"incomplete")
    else:
        part.mkdir()
        (part / "half").touch()
    save_torch(1, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_permissions_follow_the_umask(tmp_path: Path, group_writes: None) -> None:
    save_torch(1, tmp_path / "file.pt")
    assert (tmp_path / "file.pt").stat().st_mode & 0o777 == 0o664


def test_cached_waits_for_a_file_that_is_being_replaced(tmp_path: Path) -> None:
    tries: list[bool] = []

    def load() -> str:
        try:
            FileLock(lock_of(tmp_path / "a").lock_file, blocking=False).acquire().lock.release()
            tries.append(False)
        except Timeout:
            tries.append(True)
        if len(tries) == 1:
            raise UserError("it is incomplete")
        return "found"

    assert cached(load, lambda: "made", tmp_path / "a") == "found"
    assert tries == [False, True]  # the second time while nobody else can write


def test_a_damaged_file_is_created_again_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_prepared({"a": 2}, tmp_path / "a.pt", "x", 1)
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(b"?" + content[1:])
    made = cached(lambda: read_prepared(tmp_path / "a.pt", "x", 1, dict), lambda: {"a": 1}, tmp_path / "a.pt")
    assert made == {"a": 1}
    reason = "its checksum does not match"
    assert capsys.readouterr().err == f"{tmp_path / 'a.pt'} is damaged ({reason}): it is created again\n"


def test_a_prepared_file_of_an_earlier_version_is_created_again_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": 2, "fingerprint": "x", "format": 1}, tmp_path / "a.pt")
    made = cached(lambda: read_prepared(tmp_path / "a.pt", "x", 1, dict), lambda: {"a": 1}, tmp_path / "a.pt")
    assert made == {"a": 1} and capsys.readouterr().err == ""
    with pytest.raises(ChecksumError, match="it has no checksum"):
        load_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("place", [0, 100, 0.5, -90, -64, -40, -1])
def test_a_single_flipped_bit_is_detected(tmp_path: Path, place: float) -> None:
    write_prepared({"a": torch.arange(1000)}, tmp_path / "a.pt", "x", 1)
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else int(place)] ^= 4
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DamagedError, match=r"a\.pt is damaged \(its checksum does not match\)$"):
        read_prepared(tmp_path / "a.pt", "x", 1, dict)


def test_a_replaced_folder_survives_a_kill_between_the_two_moves(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with atomic_write(tmp_path / "a") as part:
            part.mkdir()
            (part / "file").write_text(content)
    assert (tmp_path / "a" / "file").read_text() == "second"
    (tmp_path / "a").replace(tmp_path / ".a.old")  # where a kill may leave it
    with pytest.raises(KeyError), atomic_write(tmp_path / "a") as part:
        raise KeyError
    assert (tmp_path / "a" / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_users_file_or_folder_named_old_stays(tmp_path: Path) -> None:
    (tmp_path / "a.old").write_text("a user's copy")
    (tmp_path / "b.old").mkdir()
    for _ in range(2):
        write_text(tmp_path / "a", "new")
        with atomic_write(tmp_path / "b") as part:
            part.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.old", "b", "b.old"]


def test_content_is_flushed_before_the_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(files, "_sync", lambda path: steps.append(f"sync {path.name} {(tmp_path / 'a').exists()}"))
    write_text(tmp_path / "a", "é")
    assert steps == ["sync a.part False", f"sync {tmp_path.name} True"]
    assert (tmp_path / "a").read_bytes() == "é".encode()


def test_json_with_rounded_numbers(tmp_path: Path) -> None:
    content = {
        "a": 0.8099659085273743,
        "b": [1.605721000618034e-9, 12345678.9],
        "c": 12345678,
        "d": math.nan,
        "e": True,
    }
    write_json(tmp_path / "a.json", content, 6)
    rounded = {"a": 0.809966, "b": [1.60572e-9, 12345700.0], "c": 12345678, "d": None, "e": True}
    assert json.loads((tmp_path / "a.json").read_text()) == rounded


def test_json_has_null_for_nan_and_infinity(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [1.5, (math.inf, 2)], "c": {"d": -math.inf, "e": "x"}})
    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert content == {"a": None, "b": [1.5, [None, 2]], "c": {"d": None, "e": "x"}}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(PermissionError(errno.EACCES, "Permission denied"), "a.pt cannot be read (Permission denied) but may be"),
     (OSError(errno.EMFILE, "Too many open files"), "a.pt cannot be read (Too many open files) but may be intact: "),
     (MemoryError(), "there is not enough memory"),
     (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory")],
)  # fmt: skip
def test_an_unreadable_file_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise error

    write_prepared({"a": 1}, tmp_path / "a.pt", "x", 1)
    monkeypatch.setattr(torch, "load", refused)
    with pytest.raises(Exception) as found:
        read_prepared(tmp_path / "a.pt", "x", 1, dict)
    assert sentence in str(explain(found.value))

"""A dataset on disk: whole or not there, read as it is needed, found again by what it was made from."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.dataset import Dataset
from src.data.mapped import keep_mapped, load_mapped, open_array, save_mapped
from src.data.sbm_large import make_sbm_large
from src.errors import UserError


def small() -> Dataset:
    return make_sbm_large([], nodes=60, degree=4.0, classes=3, block_size=20, features=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_mapped(small(), tmp_path / "kept", "made so")
    return tmp_path / "kept"


def test_what_is_written_is_read(folder: Path) -> None:
    read = load_mapped(folder, "made so")
    assert read is not None
    for field in fields(Dataset):
        assert torch.equal(getattr(read, field.name), getattr(small(), field.name)), field.name
    assert [path.name for path in folder.parent.iterdir()] == ["kept"]  # no half-written folder beside it


def test_an_array_stays_on_disk_and_cannot_be_spoilt(folder: Path) -> None:
    opened = open_array(folder / "x.npy")
    assert isinstance(opened, np.memmap)
    torch.from_numpy(opened).zero_()
    assert np.load(folder / "x.npy").any()


def test_made_from_something_else_is_nothing(folder: Path) -> None:
    assert load_mapped(folder, "made otherwise") is None
    assert load_mapped(folder.with_name("nowhere"), "made so") is None
    save_mapped(replace(small(), y=small().y.flip(0)), folder, "made otherwise")
    read = load_mapped(folder, "made otherwise")
    assert read is not None and torch.equal(read.y, small().y.flip(0))
    assert load_mapped(folder, "made so") is None


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize("name", ["x.npy", "edge_index.npy", "test.npy", "contents.json"])
@pytest.mark.parametrize("damage", [shorten, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_folder_ends_in_one_sentence(folder: Path, name: str, damage: object) -> None:
    damage(folder / name)  # type: ignore[operator]
    with pytest.raises(UserError, match=r"kept is corrupt \(\w+\): delete it, it is made again$"):
        load_mapped(folder, "made so")


def test_an_array_of_another_shape_is_damage(folder: Path) -> None:
    np.save(folder / "y.npy", np.zeros(3, np.int64))
    with pytest.raises(UserError, match="is corrupt"):
        load_mapped(folder, "made so")


def test_what_fails_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError):
        save_mapped(small(), tmp_path / "kept", "made so")
    assert list(tmp_path.iterdir()) == []


def test_kept_is_made_once(tmp_path: Path) -> None:
    made: list[Dataset] = []

    def make() -> Dataset:
        made.append(small())
        return made[-1]

    for _ in range(2):
        assert torch.equal(keep_mapped(make, tmp_path / "kept", "made so").x, small().x)
    assert len(made) == 1
    keep_mapped(make, tmp_path / "kept", "made otherwise")
    assert len(made) == 2

"""A dataset on disk: whole or not there, read as it is needed, found again by what it was made from."""

import errno
import json
import os
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from depthlab.cli import explain
from depthlab.config.errors import DamagedError, UserError
from depthlab.data.dataset import Dataset
from depthlab.data.mapped import _save, cached_mapped, load_mapped, open_array, save_mapped
from depthlab.data.sbm_large import make_sbm_large

Patch = pytest.MonkeyPatch


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
        value, other = getattr(small(), field.name), getattr(read, field.name)
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other, field.name
    assert [path.name for path in folder.parent.iterdir()] == ["kept"]  # no half-written folder beside it


def test_weights_and_names_of_classes_are_kept_and_names_of_nodes_are_not(tmp_path: Path) -> None:
    dataset = small()
    weights = torch.arange(dataset.edge_index.shape[1]) + 1.0
    names = [f"node {number}" for number in range(dataset.num_nodes)]
    more = replace(dataset, edge_weight=weights, class_names=["a", "b"], node_names=names, directed=True, notes=["so"])
    save_mapped(more, tmp_path / "kept", "made so")
    read = load_mapped(tmp_path / "kept", "made so")
    assert read is not None and read.edge_weight is not None and torch.equal(read.edge_weight, weights)
    assert (read.class_names, read.node_names, read.directed, read.notes) == (["a", "b"], None, True, ["so"])


def test_an_array_stays_on_disk_and_cannot_be_spoilt(folder: Path) -> None:
    opened = open_array(folder / "x.npy")
    assert isinstance(opened, np.memmap)
    torch.from_numpy(opened).zero_()
    assert np.load(folder / "x.npy").any()


def test_a_different_fingerprint_loads_nothing(folder: Path) -> None:
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
def test_a_damaged_folder_is_made_again(
    folder: Path, name: str, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(folder / name)  # type: ignore[operator]
    with pytest.raises(DamagedError, match=r"kept is damaged \(.+\)$"):
        load_mapped(folder, "made so")
    assert torch.equal(cached_mapped(small, folder, "made so").x, small().x)
    assert re.fullmatch(rf"{folder} is damaged \(.+\): it is created again\n", capsys.readouterr().err)
    assert load_mapped(folder, "made so") is not None


def test_a_folder_of_an_earlier_version_is_made_again_without_a_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = json.loads((folder / "contents.json").read_text())
    shapes = {name: [[7, 5], "float32"] for name in contents.pop("sha256")}
    del contents["digest"]
    (folder / "contents.json").write_text(json.dumps(contents | {"arrays": shapes}))
    assert load_mapped(folder, "made so") is None
    assert torch.equal(cached_mapped(small, folder, "made so").x, small().x)
    assert capsys.readouterr().err == "" and load_mapped(folder, "made so") is not None


def test_an_array_of_another_shape_is_damage(folder: Path) -> None:
    np.save(folder / "y.npy", np.zeros(3, np.int64))
    with pytest.raises(DamagedError, match=r"kept is damaged \(the checksum of y\.npy does not match\)$"):
        load_mapped(folder, "made so")


def test_a_full_disk_leaves_the_old_folder_and_ends_in_one_sentence(folder: Path, no_room: None) -> None:
    with pytest.raises(OSError, match="File too large") as error:
        save_mapped(small(), folder, "made otherwise")
    assert str(explain(error.value)).startswith(f"cannot write {folder}, files may not become so large here")
    assert load_mapped(folder, "made so") is not None
    assert [path.name for path in folder.parent.iterdir()] == ["kept"]


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    folder.with_name("kept.part").mkdir()
    (folder.with_name("kept.part") / "x.npy").touch()
    save_mapped(small(), folder, "made so")
    assert [path.name for path in folder.parent.iterdir()] == ["kept"]


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
@pytest.mark.parametrize("shape", [(5,), (7, 3), (2, 0), (10, 1)])
def test_files_are_those_of_numpy(tmp_path: Path, kind: type, shape: tuple[int, ...], monkeypatch: Patch) -> None:
    monkeypatch.setattr("depthlab.data.mapped.ROWS", 3)
    array: np.ndarray = np.ones(shape).cumsum().reshape(shape).astype(kind)
    np.save(tmp_path / "theirs.npy", array)
    for mine in (array, np.asfortranarray(array)):
        _save(tmp_path / "ours.npy", mine)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_a_row_lies_in_one_place_whatever_the_order_in_memory(tmp_path: Path) -> None:
    columns = torch.from_numpy(np.asfortranarray(small().x.numpy()))
    save_mapped(replace(small(), x=columns), tmp_path / "kept", "made so")
    read = load_mapped(tmp_path / "kept", "made so")
    assert read is not None and read.x.stride() == (5, 1) and torch.equal(read.x, columns)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_what_cannot_be_read_is_not_called_corrupt(folder: Path, monkeypatch: Patch, number: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("depthlab.data.mapped.sha256", refused)
    with pytest.raises(UserError, match=rf"kept cannot be read \({os.strerror(number)}\) but may be intact: fix this"):
        load_mapped(folder, "made so")


def test_a_cached_file_is_created_once(tmp_path: Path) -> None:
    made: list[Dataset] = []

    def make() -> Dataset:
        made.append(small())
        return made[-1]

    for _ in range(2):
        assert torch.equal(cached_mapped(make, tmp_path / "kept", "made so").x, small().x)
    assert len(made) == 1
    cached_mapped(make, tmp_path / "kept", "made otherwise")
    assert len(made) == 2

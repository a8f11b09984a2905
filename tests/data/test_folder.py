"""A folder with the user's arrays: what is read, and the errors for invalid files."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.folder import read_folder
from depthlab.data.hashes import data_hash
from depthlab.data.prepare import load
from depthlab.data.raw import raw_paths
from tests.conftest import bits

Arrays = dict[str, Any]
NODES = 30
FILES = ("x.npy", "edge_index.npy", "y.npy", "train.npy", "val.npy", "test.npy")


Read = Callable[..., DatasetSettings]


@pytest.fixture
def mine(arrays: Arrays) -> Arrays:
    return {
        "x": arrays["node_features"], "edge_index": arrays["edges"].T, "y": arrays["node_labels"],
        "train": arrays["train_masks"][0], "val": arrays["val_masks"][0], "test": arrays["test_masks"][0],
    }  # fmt: skip


def write(folder: Path, arrays: Arrays) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / name for name in FILES]


def test_what_is_read(tmp_path: Path, mine: Arrays) -> None:
    graph = read_folder(write(tmp_path, mine))
    assert torch.equal(graph.x, torch.from_numpy(bits(np.arange(NODES))))
    assert torch.equal(graph.edge_index, torch.from_numpy(mine["edge_index"]))
    assert torch.equal(graph.y, torch.arange(NODES) % 3)
    assert graph.train.shape == (1, NODES) and torch.equal(graph.train[0], torch.from_numpy(mine["train"]))


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.uint8, np.int32])
def test_any_numbers_are_features(tmp_path: Path, mine: Arrays, kind: Any) -> None:
    graph = read_folder(write(tmp_path, mine | {"x": mine["x"].astype(kind)}))
    assert torch.equal(graph.x, torch.from_numpy(bits(np.arange(NODES))))


def test_splits_as_numbers_and_as_many_masks(tmp_path: Path, mine: Arrays, arrays: Arrays) -> None:
    wanted = read_folder(write(tmp_path / "masks", mine))
    numbers = {name: np.flatnonzero(mine[name]).astype(np.int32) for name in ("train", "val", "test")}
    found = read_folder(write(tmp_path / "numbers", mine | numbers))
    many = {name: arrays[f"{name}_masks"] for name in ("train", "val", "test")}
    ten = read_folder(write(tmp_path / "ten", mine | many))
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
        assert torch.equal(getattr(ten, name), torch.from_numpy(many[name]))


def test_a_file_that_is_cut_short(tmp_path: Path, mine: Arrays) -> None:
    files = write(tmp_path, mine)
    files[0].write_bytes(files[0].read_bytes()[:-4])
    with pytest.raises(UserError, match=r"x\.npy is not a complete NumPy array: write it again with numpy\.save$"):
        read_folder(files)


@pytest.mark.parametrize("damage", [lambda text: text.replace("(30,)", "(30,("), lambda text: text.replace("i8", "ib")])
def test_a_torn_header(tmp_path: Path, mine: Arrays, damage: Callable[[str], str]) -> None:
    files = write(tmp_path, mine)
    files[2].write_text(damage(files[2].read_text("latin1")), "latin1")
    with pytest.raises(UserError, match=r"y\.npy is not a complete NumPy array: write it again with numpy\.save$"):
        read_folder(files)


def test_an_archive_is_not_an_array(tmp_path: Path, mine: Arrays) -> None:
    files = write(tmp_path, mine)
    np.savez(tmp_path / "y.npz", y=mine["y"])
    (tmp_path / "y.npz").replace(files[2])
    with pytest.raises(UserError, match=r"y\.npy is not a complete NumPy array: write it again with numpy\.save$"):
        read_folder(files)


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, mine: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("depthlab.data.folder.open_array", refused)
    with pytest.raises(UserError, match=r"x\.npy cannot be read \(Permission denied\) but may be intact: fix this"):
        read_folder(write(tmp_path, mine))


def test_a_missing_folder_and_a_missing_file(tmp_path: Path, mine: Arrays, dataset_config: Read) -> None:
    config = dataset_config("folder", path=str(tmp_path / "own"))
    with pytest.raises(UserError, match=r"own is missing: dataset\.path must be a folder with x\.npy, edge_index\.npy"):
        raw_paths(config)
    write(tmp_path / "own", mine)
    (tmp_path / "own" / "val.npy").unlink()
    with pytest.raises(UserError, match=r"val\.npy is missing: the folder must hold x\.npy, edge_index\.npy"):
        load(config)


def test_a_folder_is_prepared_once_for_its_content(project: Path, mine: Arrays, dataset_config: Read) -> None:
    write(project / "own", mine)
    config = dataset_config("folder", path=str(project / "own"))
    dataset, before = load(config)
    assert dataset.num_nodes == NODES
    edges = set(map(tuple, dataset.edge_index.T.tolist()))
    assert edges == {(b, a) for a, b in edges} and len(edges) == 2 * NODES  # both directions of the ring, no self-loop
    assert (project / "prepared" / "own" / before[:8] / "edge_index.npy").is_file()
    write(project / "own", mine | {"y": (mine["y"] + 1) % 3})
    assert data_hash(config) != before
    assert torch.equal(load(config)[0].y, (torch.arange(NODES) + 1) % 3)

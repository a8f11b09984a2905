"""A user's own files: all that a reader sees is part of the data hash."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.dataset import Dataset
from depthlab.data.hashes import data_hash
from depthlab.data.own import LIMIT, own_files, reading
from depthlab.data.prepare import load
from tests.settings import dataset_settings

READER = """
import numpy as np, torch
from depthlab.data.dataset import Dataset


def read_tables(files):
    by_name = {path.name: path for path in files}
    edges = np.loadtxt(by_name["edges.csv"], delimiter=",", dtype=np.int64)
    x = np.loadtxt(by_name["edges.csv"].with_name("nodes.csv"), delimiter=",", dtype=np.float32)
    parts = (torch.arange(len(x))[None] % 3 == part for part in range(3))
    return Dataset(torch.from_numpy(x), torch.from_numpy(edges.T.copy()), torch.arange(len(x)) % 2, *parts)
"""
Read = Callable[..., DatasetSettings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tables of a graph with 12 nodes, a note in a hidden file, and another table in a folder below."""
    folder = tmp_path / "own graph"
    (folder / "more").mkdir(parents=True)
    nodes = np.arange(12)
    np.savetxt(folder / "edges.csv", np.stack([nodes, np.roll(nodes, -1)], 1), delimiter=",", fmt="%d")
    np.savetxt(folder / "nodes.csv", np.random.default_rng(0).random((12, 3)), delimiter=",")
    (folder / "more" / "table.csv").write_text("1")
    (folder / ".hidden").write_text("a")
    return folder


@pytest.fixture
def config(project: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetSettings:
    """A dataset with a reader that opens a second file beside the first."""
    (project / "readers").mkdir()
    (project / "readers" / "tables.py").write_text(READER)
    monkeypatch.syspath_prepend(str(project / "readers"))
    sys.modules.pop("tables", None)
    return dataset_settings(name="tables", target="tables.read_tables", path=str(folder), normalize_features=False)


def test_every_file_of_a_folder_counts(config: DatasetSettings, folder: Path) -> None:
    dataset, before = load(config)
    assert isinstance(dataset, Dataset) and dataset.num_nodes == 12
    assert list(own_files(config)) == ["edges.csv", "more/table.csv", "nodes.csv"]
    (folder / ".hidden").write_text("b")
    assert data_hash(config) == before
    np.savetxt(folder / "nodes.csv", np.zeros((12, 3)), delimiter=",")
    changed, after = load(config)
    assert after != before and not changed.x.any()
    (folder / "new.csv").touch()
    assert data_hash(config) not in (before, after)


def test_a_file_beside_the_one_that_counts_is_out_of_reach(config: DatasetSettings, folder: Path) -> None:
    one = replace(config, path=str(folder / "edges.csv"))
    said = "edges.csv: its reader opens a file that the data hash does not cover (nodes.csv not found.): name"
    with pytest.raises(UserError, match=re.escape(str(folder / said))):
        load(one)
    with pytest.raises(UserError, match=re.escape(f"{folder}: its reader opens a file that the data hash does")):
        load(replace(config, path_files=["edges.csv"]))
    assert load(replace(config, path_files=["edges.csv", "nodes.csv"]))[0].num_nodes == 12


def test_a_reader_is_given_links_in_the_order_of_the_files(config: DatasetSettings, folder: Path) -> None:
    files = own_files(replace(config, path_files=["nodes.csv", "more/table.csv"]))
    with reading(config, files) as given:
        assert [path.name for path in given] == ["nodes.csv", "table.csv"]
        assert [path.read_text() for path in given] == [path.read_text() for path in files.values()]
        assert sorted(path.name for path in given[0].parent.rglob("*")) == ["more", "nodes.csv", "table.csv"]
    assert not given[0].exists() and (folder / "nodes.csv").exists()


def test_the_reader_of_named_raw_files_sees_these_alone(project: Path, dataset_config: Read) -> None:
    (project / "data" / "heterophilous" / "more.npz").touch()
    seen: list[Path] = []
    config = dataset_config("texas")
    with reading(config, {"heterophilous/texas.npz": project / "data" / "heterophilous" / "texas.npz"}) as (given,):
        seen += given.parent.iterdir()
    assert seen == [given]


def test_an_error_names_the_dataset_and_no_temporary_folder(project: Path, dataset_config: Read) -> None:
    (project / "own.npz").write_bytes(b"no archive")
    config = dataset_config("npz", path=str(project / "own.npz"))
    said = f"{project / 'own.npz'} is not a readable npz file: write it again with numpy.savez"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        load(config)


def test_another_missing_file_is_not_blamed_on_the_hash(config: DatasetSettings) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), reading(config, own_files(config)):
        raise FileNotFoundError(2, "No such file or directory", "/elsewhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"path": "nowhere"}, "nowhere is missing: dataset.path must be a file, or a folder if its reader takes several"),
     ({"path": "nowhere", "path_files": ["a", "b"]}, "nowhere is missing: dataset.path must be a folder with a, b"),
     ({"path_files": ["edges.csv", "b"]}, "b is missing: the folder must hold edges.csv, b"),
     ({"path_files": ["../b"]}, "path_files of tables must name files below dataset.path, got ../b"),
     ({"path": "empty"}, "empty holds no file: dataset.path must be a file, or a folder with the files of the dataset"),
     ({"path": "full"},
      f"full holds more than {LIMIT:,} files: dataset.path must be a folder that holds only the dataset")],
)  # fmt: skip
def test_what_is_missing_or_too_much(
    config: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("full").mkdir()
    for number in range(LIMIT + 1):
        Path("full", str(number)).touch()
    with pytest.raises(UserError, match=f"{re.escape(said)}$"):
        own_files(replace(config, **change))


@pytest.mark.parametrize("place", ["prepare", "load"])
def test_a_file_that_changes_while_it_is_read_is_not_recorded_under_the_old_hash(
    config: DatasetSettings, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from depthlab.data import prepare as module

    plain = module.read

    def slow(config: DatasetSettings) -> Any:
        dataset = plain(config)
        (folder / "nodes.csv").write_text("saved in between")
        return dataset

    monkeypatch.setattr(module, "read", slow)
    with pytest.raises(UserError, match=r"own graph was changed while it was read: start again$"):
        getattr(module, place)(config)


def test_arrays_that_stay_on_disk_outlive_the_links(
    project: Path, dataset_config: Read, arrays: dict[str, Any]
) -> None:
    own = project / "own"
    own.mkdir()
    named = {"x": arrays["node_features"], "edge_index": arrays["edges"].T, "y": arrays["node_labels"]}
    for name, array in {**named, **{part: arrays[f"{part}_masks"] for part in ("train", "val", "test")}}.items():
        np.save(own / f"{name}.npy", array)
    (own / "notes.txt").write_text("not an array")  # beside `path_files`: neither read nor hashed
    config = dataset_config("folder", path=str(own))
    dataset, before = load(config)
    assert torch.equal(dataset.x, torch.from_numpy(arrays["node_features"]))
    (own / "notes.txt").write_text("changed")
    assert data_hash(config) == before


def test_files_that_settings_name(tmp_path: Path, dataset_config: Callable[..., DatasetSettings]) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("people.csv", "edges.csv.gz", "other.csv"):
        (folder / name).write_bytes(b"")
    config = dataset_config("csv", path=str(folder), nodes="people.csv")
    assert own_files(config) == {"edges.csv.gz": folder / "edges.csv.gz", "people.csv": folder / "people.csv"}
    assert config.name == "shop"
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_bytes(b"")
    config = dataset_config("csv", path=str(folder), nodes=str(elsewhere))
    assert own_files(config)["elsewhere.csv"] == elsewhere


def test_a_file_that_a_setting_names_is_missing(tmp_path: Path, dataset_config: Callable[..., DatasetSettings]) -> None:
    (tmp_path / "edges.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"n\.csv is missing: the folder must hold edges\.csv, n\.csv, or name another"):
        own_files(dataset_config("csv", path=str(tmp_path), nodes="n.csv"))
    with pytest.raises(UserError, match=r"edges\.csv is a file: dataset\.path must be a folder with edges\.csv, nodes"):
        own_files(dataset_config("csv", path=str(tmp_path / "edges.csv")))


@pytest.mark.parametrize(("path", "name"), [("a/my graph.v2.pt", "my-graph"), ("cora.pt", "pt-cora"), ("pt.pt", "pt")])
def test_a_graph_is_named_after_its_file(path: str, name: str, dataset_config: Callable[..., DatasetSettings]) -> None:
    assert dataset_config("pt", path=path).name == name
    assert compose_settings(["dataset=pt", f"dataset.path='{path}'", "dataset.name=mine"]).dataset.name == "mine"

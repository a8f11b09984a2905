"""From raw files to the prepared file, once."""

import json
import math
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data import prepare as module
from depthlab.data.dataset import Dataset
from depthlab.data.graph_set import GraphSet
from depthlab.data.hashes import data_hash
from depthlab.data.prepare import load, prepare, prepared_hash, read
from tests.unpickling import Marker

Read = Callable[..., DatasetSettings]
X = "planetoid/ind.cora.x"


def no_reading(config: DatasetSettings) -> Dataset:
    raise AssertionError("the raw files were read again")


@pytest.mark.parametrize("name", ["cora", "citeseer", "texas"])
def test_load_prepares_once(project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = dataset_config(name)
    first, fingerprint = load(config)
    assert (project / "prepared" / f"{name}.pt").is_file()
    monkeypatch.setattr(module, "read", no_reading)
    second, again = load(config)
    assert again == fingerprint == data_hash(config)
    assert isinstance(first, Dataset)
    for field in fields(first):
        value, other = getattr(first, field.name), getattr(second, field.name)
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other, field.name


def test_load_into_another_folder(project: Path, tmp_path: Path, dataset_config: Read) -> None:
    load(dataset_config("texas"), tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "texas.pt").is_file()
    assert not (project / "prepared").exists()


def test_other_settings_are_prepared_afresh(project: Path, dataset_config: Read) -> None:
    normalized, _ = load(dataset_config("cora"))
    assert float(normalized.x.max(1).values.min()) < 1
    plain, _ = load(dataset_config("cora", normalize_features=False))
    assert set(plain.x.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(load(dataset_config("cora"))[0].x, normalized.x)


def test_new_raw_files_are_prepared_afresh(
    project: Path, dataset_config: Read, write_list: Callable[[Path], None]
) -> None:
    config = dataset_config("texas")
    _, before = load(config)
    with (project / "data" / "heterophilous" / "texas.npz").open("ab") as file:
        file.write(b"\0")  # still the same archive to NumPy
    write_list(project)
    _, after = load(config)
    assert after != before
    assert Dataset.load(project / "prepared" / "texas.pt", prepared_hash(config, before)) is None
    assert Dataset.load(project / "prepared" / "texas.pt", prepared_hash(config, after)) is not None


def test_other_code_prepares_the_same_data_afresh(
    project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataset_config("texas")
    _, before = load(config)
    monkeypatch.setattr(module, "code_hash", lambda *_: "of tomorrow")
    assert Dataset.load(project / "prepared" / "texas.pt", prepared_hash(config, before)) is None
    assert load(config)[1] == before
    assert Dataset.load(project / "prepared" / "texas.pt", prepared_hash(config, before)) is not None


@pytest.mark.parametrize(
    ("name", "changes", "same"),
    [
        ("cora", {"normalize_features": False}, False),
        ("cora", {"split": "random"}, True),
        ("cora", {"metric": "roc_auc"}, True),
        ("csbm", {"homophily": 0.1}, False),
        ("csbm", {"seed": 1}, False),
        ("digits", {"neighbors": 3}, False),
        ("digits", {"split": 4}, True),
        ("tree_neighbors_match", {"radius": 2}, False),
        ("tree_neighbors_match", {"batch_size": 3}, True),
        ("ring_transfer", {"size": 6}, False),
    ],
)
def test_data_hash_covers_what_shapes_the_graph(
    project: Path, dataset_config: Read, name: str, changes: dict[str, Any], same: bool
) -> None:
    assert (data_hash(dataset_config(name, **changes)) == data_hash(dataset_config(name))) == same


def test_data_hash_of_an_own_file_follows_its_content(project: Path, dataset_config: Read) -> None:
    own = project / "own.npz"
    shutil.copy(project / "data" / "heterophilous" / "texas.npz", own)
    config = dataset_config("npz", path=str(own))
    dataset, before = load(config)
    assert dataset.num_nodes == 30
    with own.open("ab") as file:
        file.write(b"\0")
    assert load(config)[1] != before
    assert not (project / "prepared").exists()


@pytest.mark.parametrize("name", ["cora", "citeseer", "texas", "csbm"])
def test_edges_are_undirected_sorted_and_single(project: Path, dataset_config: Read, name: str) -> None:
    dataset = read(dataset_config(name))
    edges = list(map(tuple, dataset.edge_index.T.tolist()))
    assert edges == sorted(set(edges))
    assert set(edges) == {(b, a) for a, b in edges}
    assert all(a != b for a, b in edges)
    if name != "csbm":
        assert len(edges) == 2 * {"cora": 520, "citeseer": 518, "texas": 30}[name]  # the rings that were written


def test_rows_are_normalized_and_rows_of_zeros_stay(project: Path, dataset_config: Read) -> None:
    dataset = read(dataset_config("citeseer"))
    total = dataset.x.sum(1)
    assert torch.equal((total == 0).nonzero().view(-1), torch.tensor([513, 517]))
    assert torch.allclose(total[total != 0], torch.tensor(1.0))
    assert dataset.x.isfinite().all()
    assert dataset.x[2].tolist() == [0.5, 0.5] + [0.0] * 8  # node 2 has the bits of 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [([[1.0, 1.0], [-3.0, 2.0]], "node 1 of own has negative features"),
     ([[3.9, -3.875], [1.0, 1.0]], "node 0 of own has negative features"),  # the sum is 0.025: 3.9 would become 156
     ([[1.0, -1.0], [1.0, 1.0]], "node 0 of own has negative features"),
     ([[1.0, 0.0], [3e38, 3e38]], "node 1 of own has no finite sum")],
)  # fmt: skip
def test_rows_without_a_meaningful_sum_are_not_normalized(
    project: Path, dataset_config: Read, arrays: dict[str, Any], rows: list[list[float]], said: str
) -> None:
    features = np.ones((30, 2), np.float32)
    features[:2] = rows
    np.savez(project / "own.npz", **arrays | {"node_features": features})
    config = dataset_config("npz", path=str(project / "own.npz"))
    assert torch.equal(load(config)[0].x, torch.from_numpy(features))
    with pytest.raises(UserError, match=rf"divides the features of each node by their sum, but {said}: use dataset\."):
        load(replace(config, normalize_features=True))


def test_generated_graphs_are_not_cached(project: Path, dataset_config: Read) -> None:
    dataset, _ = load(dataset_config("csbm", nodes=60))
    assert dataset.num_nodes == 60
    assert not (project / "prepared").exists()


TASKS = ["tree_neighbors_match", "ring_transfer", "crossed_ring_transfer", "clique_path_transfer"]


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_taken_as_they_are_made(project: Path, dataset_config: Read, name: str) -> None:
    config = dataset_config(name)
    graphs, fingerprint = load(config)
    assert isinstance(graphs, GraphSet) and fingerprint == data_hash(config)
    forth = set(map(tuple, graphs.edge_index.T.tolist()))
    back = {(b, a) for a, b in forth}
    assert forth.isdisjoint(back) if name == "tree_neighbors_match" else forth == back
    assert not (project / "prepared").exists()


@pytest.mark.parametrize("name", TASKS)
def test_a_prepared_task_is_read_again(
    project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = dataset_config(name)
    prepare(config)
    monkeypatch.setattr(module, "read", no_reading)
    graphs, _ = load(config)
    assert isinstance(graphs, GraphSet)
    statistics = json.loads((project / "prepared" / f"{name}.json").read_text())
    tree = {"graphs": 8000, "nodes": 15, "edges": 14, "classes": 8, "features": 16, "task_range": 3}
    ring = {"graphs": 6000, "nodes": 10, "edges": 10, "classes": 5, "features": 5, "task_range": 5}
    wanted = {"tree_neighbors_match": tree, "ring_transfer": ring}.get(name, {"nodes": 10})
    assert {key: statistics[key] for key in wanted} == wanted
    assert statistics["connected_components"] == 1


def test_prepare_writes_statistics(project: Path, dataset_config: Read) -> None:
    path = prepare(dataset_config("texas"))
    assert path == project / "prepared" / "texas.pt"
    config = dataset_config("texas")
    assert Dataset.load(path, prepared_hash(config, data_hash(config))) is not None
    statistics = json.loads((project / "prepared" / "texas.json").read_text())
    wanted = {"nodes": 30, "edges": 30, "classes": 3, "features": 10, "connected_components": 1, "edge_homophily": 0}
    assert {key: statistics[key] for key in wanted} == wanted
    assert list(statistics["receptive_field"].values()) == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]  # of a ring
    assert statistics["balanced_forman"] == {"mean": 0, "min": 0}
    assert statistics["spectral_gap"]["whole"] == pytest.approx(1 - math.cos(math.pi / 15), rel=5e-6)
    assert statistics["resistance"]["edges"] == 0.966667  # of 29 / 30 as many digits as every machine finds


def test_a_statistic_without_a_value_is_null(project: Path, dataset_config: Read, arrays: dict[str, Any]) -> None:
    arrays["node_labels"][:2] = -1
    for part in ("train_masks", "val_masks", "test_masks"):
        arrays[part][..., :2] = False
    np.savez(project / "own.npz", **arrays | {"edges": np.array([[0, 1]])})
    path = prepare(dataset_config("npz", path=str(project / "own.npz")))
    statistics = json.loads(path.with_suffix(".json").read_text(), parse_constant=pytest.fail)
    assert statistics["edges"] == 1 and statistics["edge_homophily"] is None


def test_nothing_is_unpickled_before_it_is_verified(project: Path, dataset_config: Read) -> None:
    marker = project / "executed"
    (project / "data" / X).write_bytes(pickle.dumps(Marker(marker)))
    with pytest.raises(UserError, match=f"^data/{X} is corrupt"):
        load(dataset_config("cora"))
    assert not marker.exists()
    assert not (project / "prepared" / "cora.pt").exists()


@pytest.mark.parametrize("name", ["texas", "csbm", "ring_transfer"])
@pytest.mark.parametrize("size", [10, 500, -1])
def test_a_damaged_prepared_file_is_made_again(
    project: Path, dataset_config: Read, capsys: pytest.CaptureFixture[str], name: str, size: int
) -> None:
    path = prepare(dataset_config(name))
    path.write_bytes(path.read_bytes()[:size])
    for said in (rf"{path} is damaged \(.+\): it is created again\n", ""):
        found, _ = load(dataset_config(name))
        assert all(torch.equal(getattr(found, key), getattr(read(dataset_config(name)), key)) for key in ("x", "y"))
        assert re.fullmatch(said, capsys.readouterr().err)


def test_a_large_graph_is_generated_once_and_stays_on_disk(
    project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataset_config("sbm_large", nodes=400, degree=6.0, block_size=20)
    first, fingerprint = load(config)
    assert isinstance(first, Dataset)
    kept = project / "prepared" / "sbm_large" / fingerprint[:8]
    assert (kept / "x.npy").is_file() and not (project / "prepared" / "sbm_large.pt").exists()
    other = load(replace(config, arguments={**config.arguments, "seed": 1}))[1]
    assert (project / "prepared" / "sbm_large" / other[:8]).is_dir() and kept.is_dir()  # side by side
    x, edge_index = first.x.clone(), first.edge_index.clone()
    with monkeypatch.context() as patch:
        patch.setattr(module, "read", no_reading)
        again, same = load(config)
        assert same == fingerprint and torch.equal(again.x, x) and torch.equal(again.edge_index, edge_index)
        (kept / "x.npy").write_bytes(b"")
        with pytest.raises(AssertionError, match="read again"):
            load(config)
    again, same = load(config)
    assert same == fingerprint and torch.equal(again.x, x)


def test_prepare_writes_the_statistics_of_a_large_graph_beside_it(project: Path, dataset_config: Read) -> None:
    path = prepare(dataset_config("sbm_large", nodes=400, degree=6.0, block_size=20))
    assert path == project / "prepared" / "sbm_large" / path.name and (path / "x.npy").is_file()
    statistics = json.loads(path.with_suffix(".json").read_text())
    wanted = {"nodes": 400, "edges": 1200, "classes": 10, "features": 64, "edge_homophily": pytest.approx(0.8)}
    assert {key: statistics[key] for key in wanted} == wanted


@pytest.mark.parametrize("name", ["sbm_large", "texas"])
def test_nobody_else_writes_while_prepare_does(
    project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = dataset_config(name, **({"nodes": 400, "degree": 6.0, "block_size": 20} if name == "sbm_large" else {}))
    path = prepare(config)
    plain, held = Path.replace, []

    def spied(part: Path, target: Path) -> Path:
        with pytest.raises(Timeout):
            FileLock(path.with_suffix(".lock"), blocking=False).acquire()
        held.append(target)
        return plain(part, target)

    monkeypatch.setattr(Path, "replace", spied)
    prepare(config)
    assert {path, path.with_suffix(".json")} <= set(held)


def test_nobody_else_writes_while_a_run_prepares_in_passing(
    project: Path, dataset_config: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, config = module.read, dataset_config("texas")

    def spied(config: DatasetSettings) -> module.Data:
        with pytest.raises(Timeout):
            FileLock(project / "prepared" / "texas.lock", blocking=False).acquire()
        return plain(config)

    monkeypatch.setattr(module, "read", spied)
    assert load(config)[0].num_nodes == 30

"""The reader of the Planetoid format, on small files and on the real Cora."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.planetoid import read_planetoid
from depthlab.data.prepare import read
from tests.conftest import write_planetoid
from tests.settings import dataset_settings
from tests.unpickling import Marker

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
ABSENT = {"cora": [], "citeseer": [513, 517]}
both = pytest.mark.parametrize("name", ["cora", "citeseer"])


def paths(folder: Path, name: str) -> list[Path]:
    return [folder / f"ind.{name}.{part}" for part in PARTS]


@both
def test_rows_of_the_test_files_belong_to_the_nodes_of_the_index(project: Path, name: str) -> None:
    files = dict(zip(PARTS, paths(project / "data" / "planetoid", name), strict=True))
    index = np.loadtxt(files["test.index"], dtype=np.int64)
    assert (np.diff(index) < 0).any(), "the index has to be out of order for this test to mean anything"
    dataset = read_planetoid(list(files.values()))
    tx = pickle.loads(files["tx"].read_bytes()).toarray()
    ty = pickle.loads(files["ty"].read_bytes())
    assert np.array_equal(dataset.x[torch.from_numpy(index)].numpy(), tx)
    assert np.array_equal(dataset.y[torch.from_numpy(index)].numpy(), ty.argmax(1))


@both
def test_every_node_has_its_features_and_class(project: Path, name: str) -> None:
    dataset = read_planetoid(paths(project / "data" / "planetoid", name))
    nodes = torch.arange(520)
    x = ((nodes[:, None] + 1) >> torch.arange(10) & 1).float()  # as the files were written
    y = nodes % 3
    x[ABSENT[name]], y[ABSENT[name]] = 0, -1
    assert torch.equal(dataset.x, x)
    assert torch.equal(dataset.y, y)
    assert (dataset.x.dtype, dataset.y.dtype) == (torch.float32, torch.int64)


@both
def test_nodes_that_no_file_names_stand_alone(project: Path, name: str) -> None:
    dataset = read_planetoid(paths(project / "data" / "planetoid", name))
    degree = torch.bincount(dataset.edge_index[0], minlength=520)
    assert (degree == 0).nonzero().view(-1).tolist() == ABSENT[name]
    assert (dataset.y == -1).nonzero().view(-1).tolist() == ABSENT[name]
    assert not (dataset.train | dataset.val | dataset.test)[:, ABSENT[name]].any()


@both
def test_public_split(project: Path, name: str) -> None:
    dataset = read_planetoid(paths(project / "data" / "planetoid", name))
    train, val, test = (mask[0].nonzero().view(-1).tolist() for mask in (dataset.train, dataset.val, dataset.test))
    assert train == list(range(6))
    assert val == list(range(6, 506))
    assert test == sorted(set(range(510, 520)) - set(ABSENT[name]))


def test_order_of_the_files_does_not_matter(project: Path) -> None:
    files = paths(project / "data" / "planetoid", "citeseer")
    assert torch.equal(read_planetoid(files[::-1]).y, read_planetoid(files).y)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x02]q\x00(K\x01", pickle.dumps([1, 2])])
@pytest.mark.parametrize("part", ["graph", "allx"])
def test_a_known_file_of_another_format(
    project: Path, write_list: Callable[[Path], None], part: str, content: bytes
) -> None:
    folder = project / "data" / "planetoid"
    (folder / f"ind.cora.{part}").write_bytes(content)
    write_list(project)
    with pytest.raises(UserError, match=r"^the Planetoid files of cora cannot be read \(\w+: "):
        read_planetoid(paths(folder, "cora"))


@pytest.mark.parametrize("name", ["cora", "own"])
def test_nothing_unknown_is_unpickled(project: Path, tmp_path: Path, name: str) -> None:
    write_planetoid(tmp_path / "own", name, absent=())
    (tmp_path / "own" / f"ind.{name}.graph").write_bytes(pickle.dumps(Marker(tmp_path / "executed")))
    sentence = "graph is a pickle whose hash is not" if name == "cora" else "is not in raw_files"
    with pytest.raises(UserError, match=sentence):
        read_planetoid(paths(tmp_path / "own", name))
    config = dataset_settings(target="depthlab.data.planetoid.read_planetoid", path=str(tmp_path / "own"))
    with pytest.raises(UserError, match=sentence):
        read(config)
    assert not (tmp_path / "executed").exists()


def test_real_cora(real_cora: Path) -> None:
    dataset = read_planetoid(paths(real_cora, "cora"))
    assert dataset.x.shape == (2708, 1433)
    assert int(dataset.y.max()) == 6
    edges = dataset.edge_index
    undirected = torch.stack([edges.min(0).values, edges.max(0).values]).unique(dim=1)
    assert undirected.shape[1] == 5278
    assert (undirected[0] != undirected[1]).all()
    assert [int(mask.sum()) for mask in (dataset.train, dataset.val, dataset.test)] == [140, 500, 1000]
    assert torch.bincount(dataset.y[dataset.train[0]]).tolist() == [20] * 7
    assert (dataset.y >= 0).all()

"""A small raw folder in the layout of an OGB node dataset."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.hashes import data_hash
from depthlab.data.ogb import read_ogb
from depthlab.data.own import own_files
from depthlab.data.prepare import load

NODES = 20
Read = Callable[..., DatasetSettings]


def write(folder: Path, split: str = "time", **changes: str) -> Path:
    """A directed ring of four classes."""
    x = np.random.default_rng(0).standard_normal((NODES, 3)).round(4)
    parts = {"train": range(10), "valid": range(10, 15), "test": range(15, NODES)}
    content = {
        "raw/edge": "".join(f"{node},{(node + 1) % NODES}\n" for node in range(NODES)),
        "raw/node-feat": "".join(f"{','.join(map(str, row))}\n" for row in x),
        "raw/node-label": "".join(f"{node % 4}\n" for node in range(NODES)),
        "raw/num-node-list": f"{NODES}\n", "raw/node_year": "2010\n" * NODES, "raw/num-edge-list": f"{NODES}\n",
    } | {f"split/{split}/{part}": "".join(f"{node}\n" for node in nodes) for part, nodes in parts.items()}  # fmt: skip
    for name, text in (content | {name.replace("__", "/"): text for name, text in changes.items()}).items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.mark.parametrize("split", ["time", "sales_ranking"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_folder_is_read(
    tmp_path: Path, use_root: Callable[[Path], Path], dataset_config: Read, split: str, mapped: bool
) -> None:
    use_root(tmp_path)
    config = dataset_config("ogb", path=str(write(tmp_path / "arxiv", split)), mapped=mapped)
    found, _ = load(config)
    assert found.num_nodes == NODES and found.edge_index.shape == (2, 2 * NODES) and found.x.dtype == torch.float32
    assert found.y.tolist() == [node % 4 for node in range(NODES)]
    assert [len(part) for part in found.parts("0")] == [10, 5, 5]
    again, _ = load(config)
    assert torch.equal(found.x, again.x)


def test_other_files_are_ignored(tmp_path: Path, dataset_config: Read) -> None:
    config = dataset_config("ogb", path=str(write(tmp_path / "arxiv")))
    before = data_hash(config)
    (tmp_path / "arxiv" / "processed").mkdir()
    (tmp_path / "arxiv" / "processed" / "graph.pt").write_bytes(b"any")
    assert data_hash(config) == before and config.name == "arxiv"
    write(tmp_path / "arxiv", **{"raw__edge": "0,2\n"})
    assert data_hash(config) != before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"raw__edge": "0,20\n"}, "raw/edge.csv.gz must hold node numbers from 0 to 19, got 0 to 20"),
     ({"raw__edge": "0,a\n"}, "raw/edge.csv.gz cannot be read as a table of numbers ("),
     ({"raw__edge": ""}, "raw/edge.csv.gz cannot be read as a table of numbers (No columns to parse from file)"),
     ({"raw__node-feat": "1,2\n"}, "raw/node-feat.csv.gz has 1 lines for 20 nodes: download it again"),
     ({"raw__node-label": "0,1\n" * NODES}, "raw/node-label.csv.gz must have one target per node, got 2"),
     ({"raw__num-node-list": "10\n10\n"}, "raw/num-node-list.csv.gz must hold one number of nodes, got 2"),
     ({"split__time__valid": "3\n"}, "time/train.csv.gz and time/valid.csv.gz share nodes, the first is node 3")],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, dataset_config: Read, changes: dict[str, str], sentence: str) -> None:
    config = dataset_config("ogb", path=str(write(tmp_path, **changes)))
    with pytest.raises(UserError) as error:
        read_ogb(list(own_files(config).values()))
    assert str(error.value).startswith(sentence)


def test_a_missing_file_and_a_second_split(tmp_path: Path, dataset_config: Read) -> None:
    config = dataset_config("ogb", path=str(write(tmp_path)))
    write(tmp_path, "random")
    with pytest.raises(UserError, match=r" must have one file split/\*/train\.csv\.gz, got 2: remove .*time"):
        own_files(config)
    (tmp_path / "raw" / "edge.csv.gz").unlink()
    with pytest.raises(UserError, match=r"raw/edge\.csv\.gz is missing: the folder must hold raw/edge\.csv\.gz, raw/"):
        own_files(config)

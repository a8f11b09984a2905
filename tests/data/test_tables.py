"""A graph in two CSV files; errors name file, column and line."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.tables import read_csv

NODES = "id,label,age,size\n007,dog,1,0.5\nb,cat,2,0.25\nc,dog,3,-1\nx y,cat,4,1e3\n"
EDGES = "source,target\n007,b\nb,c\nc,x y\n"


def read(folder: Path, nodes: str = NODES, edges: str = EDGES, **settings: Any) -> Dataset:
    (folder / "nodes.csv").write_text(nodes, encoding="utf-8")
    (folder / "edges.csv").write_text(edges, encoding="utf-8")
    return read_csv([folder / "edges.csv", folder / "nodes.csv"], **settings)


def test_default_columns(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.node_names == ["007", "b", "c", "x y"] and found.class_names == ["cat", "dog"]
    assert found.x.tolist() == [[1, 0.5], [2, 0.25], [3, -1], [4, 1000]] and found.y.tolist() == [1, 0, 1, 0]
    assert found.edge_index.tolist() == [[0, 1, 2], [1, 2, 3]] and found.edge_weight is None
    assert found.train.shape == (0, 4) and found.notes == []


@pytest.mark.filterwarnings("error")  # such as one about memory that may not be written to
def test_columns_by_name(tmp_path: Path) -> None:
    nodes = "kind,w_a,w_b,other,key,part\n1,1,2,9,a,train\n10,3,4,9,b,Test\n2,5,6,9,c,val\n,7,8,9,d,\n"
    edges = "strength,to,from\n0.5,b,a\n2,c,b\n"
    columns = {"id": "key", "label": "kind", "features": "w_*", "split_column": "part", "source": "from"}
    found = read(tmp_path, nodes, edges, **columns, target="to", edge_weight="strength")
    assert found.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]] and found.class_names == ["1", "2", "10"]
    assert found.y.tolist() == [0, 2, 1, -1] and found.edge_index.tolist() == [[0, 1], [1, 2]]
    assert found.edge_weight is not None and found.edge_weight.tolist() == [0.5, 2]
    masks = torch.cat([found.train, found.val, found.test])
    assert masks.tolist() == [[True, False, False, False], [False, False, True, False], [False, True, False, False]]
    assert len(found.notes) == 1 and "column kind is empty in 1 of 4 lines, the first is line 5" in found.notes[0]
    plain = read(tmp_path, nodes, edges, **columns | {"split_column": "none"}, target="to", edge_weight="none")
    assert plain.edge_weight is None and plain.train.shape == (0, 4)


def test_text_columns_are_ignored_with_a_note(tmp_path: Path) -> None:
    found = read(tmp_path, "id,label,city,age\na,1,Rome,3\nb,2,Oslo,4\n", "a,b\na,b\n")
    assert found.x.tolist() == [[3], [4]]
    assert found.notes == ["nodes.csv: text columns are not used as features: city"]


def test_a_regression(tmp_path: Path) -> None:
    found = read(tmp_path, "id,price,age\na,1.5,3\nb,,4\nc,2,5\n", "a,b\na,b\n", label="price", task="regression")
    np.testing.assert_array_equal(found.y, np.array([1.5, np.nan, 2], np.float32))
    assert found.class_names is None


def test_a_compressed_file_with_a_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv.gz").write_bytes(gzip.compress(f"\ufeff{NODES}".replace(",", ", ").encode()))
    (tmp_path / "edges.csv").write_text(EDGES)
    found = read_csv([tmp_path / "edges.csv", tmp_path / "nodes.csv.gz"])
    assert found.node_names == ["007", "b", "c", "x y"] and found.class_names == ["cat", "dog"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"edges": "source,target\n007,b\nb,zz\n"}, "edges.csv, line 3: target 'zz' does not exist in nodes.csv (colum"),
    ({"edges": "source,target\n7,b\n"}, "edges.csv, line 2: source '7' does not exist in nodes.csv (column id), and"),
    ({"edges": "source,target\n"}, "edges.csv has a header but no rows"),
    ({"edges": "source,target\n007,007\n"}, "edges holds no edge between two nodes: a network needs edges"),
    ({"edges": "source,target\n,b\n"}, "edges.csv, line 2: column source must name a node, but it is empty"),
    ({"edges": "source,target,time\n007,b,3\n"}, "edges.csv has time besides source and target, and edge columns"),
    ({"edges": "source,target,weight\n007,b,-3\n"}, "column weight of edges.csv must hold finite numbers of at least"),
    ({"edges": "source,target,weight\n007,b,much\n"}, "edges.csv, line 2: column weight must hold a number, got 'much"),
    ({"edges": "source\n007\n"}, "edges.csv has no column target: add dataset.target=COLUMN, one of source"),
    ({"edge_weight": "strength"}, "edges.csv has no column strength: dataset.edge_weight must be one of source, "
     "target, or none"),
    ({"nodes": NODES.replace(",", ";")}, "nodes.csv has ';' between its columns: save it with commas"),
    ({"label": "kind"}, "nodes.csv has no column kind: dataset.label must be one of id, label, age, size"),
    ({"id": "key"}, "nodes.csv has no column key: dataset.id must be one of id, label, age, size"),
    ({"features": ["age", "w*"]}, "nodes.csv has no column w*: dataset.features must name columns among age, size"),
    ({"split_column": "part"}, "nodes.csv has no column part: dataset.split_column must be one of id, label, age, siz"),
    ({"nodes": NODES.replace("c,dog", "b,dog")}, "nodes.csv has 'b' in column id in lines 3 and 4: a node must have o"),
    ({"nodes": NODES.replace("label", "kind")}, "nodes.csv has no column label: add dataset.label=COLUMN, one of id,"),
    ({"nodes": NODES.replace(",2,", ",,")}, "nodes.csv, line 3: column age must hold a number, but it is empty: fill"),
    ({"nodes": NODES.replace(",2,", ",nan,")}, "nodes.csv, line 3: column age must hold a number, got 'nan': fill it"),
    ({"nodes": NODES.replace(",2,", ",two,")}, "nodes.csv, line 3: column age must hold a number, got 'two': fill it"),
    ({"nodes": "id,label,age\na,1.5,3\nb,2,3\n"}, "nodes.csv: column label holds numbers such as 1.5: for a regressi"),
    ({"nodes": NODES.replace("cat", "dog")}, "column label must hold two or more classes, got 1: there is nothing to"),
    ({"nodes": "id,label\na,b\n"}, "nodes.csv has no numeric column for features besides id, label: for nodes witho"),
    ({"nodes": "id,label,age,age\na,b,1,2\n"}, "nodes.csv has column age twice: rename one"),
    ({"nodes": ""}, "nodes.csv cannot be read as a table of comma-separated values: No columns to parse"),
    ({"nodes": "id,label\na,b,c,d\n"}, "nodes.csv cannot be read as a table of comma-separated values:"),
    ({"nodes": "id,label,age,split\n007,b,1,\nb,a,1,trian\nc,a,1,\nx y,a,1,\n"},
     "nodes.csv, line 3: column split must hold train, val, test or"),
    ({"nodes": "id,label,age,split\n007,b,1,\nb,a,1,\nc,a,1,\nx y,a,1,\n"},
     "nodes.csv: column split is empty: fill it, or use dataset.split_colu"),
    ({"nodes": "id,label,age,split\n007,b,1,train\nb,a,2,test\nc,a,2,\nx y,b,1,\n"},
     "val in column split holds no node in split 0"),
    ({"nodes": "id,label,age,split\n007,b,1,train\nb,a,2,test\nc,,2,val\nx y,b,1,\n"},
     "val in column split has nodes without a class"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, **change)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "nodes.csv").write_text(NODES.replace("dog", "chié"), encoding="latin-1")
    with pytest.raises(UserError, match=r"^nodes\.csv cannot be read as a table of .*: save it as UTF-8$"):
        read_csv([tmp_path / "edges.csv", tmp_path / "nodes.csv"])


def test_one_file_for_both(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^dataset\.nodes and dataset\.edges must name different files, got a\.csv for both$"
    ):
        read_csv([tmp_path / "a.csv"])

"""TUDataset's text files: agreement with PyG's reader, and errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.io import read_tu_data

from depthlab.config.errors import UserError
from depthlab.data.edges import with_edges
from depthlab.data.tu import read_tu

GRAPHS = 24
Tables = dict[str, Any]


def tables() -> Tables:
    """Alternating paths and rings with classes -1 and 1, and two kinds of node labels."""
    generator, edges, graph_of = np.random.default_rng(0), [], []
    first = 1
    for graph in range(GRAPHS):
        nodes = int(generator.integers(4, 9))
        pairs = [(i, i + 1) for i in range(nodes - 1)] + [(nodes - 1, 0)] * (graph % 2)
        edges += [(first + a, first + b) for low, high in pairs for a, b in ((low, high), (high, low))]
        graph_of += [graph + 1] * nodes
        first += nodes
    count = len(graph_of)
    return {
        "A": edges,
        "graph_indicator": graph_of,
        "graph_labels": [2 * (graph % 2) - 1 for graph in range(GRAPHS)],
        "graph_attributes": generator.standard_normal((GRAPHS, 2)).round(4).tolist(),
        "node_labels": np.stack([generator.integers(2, 5, count), generator.integers(0, 2, count)], 1).tolist(),
        "node_attributes": generator.standard_normal((count, 3)).round(4).tolist(),
    }


def write(folder: Path, content: Tables) -> list[Path]:
    folder.mkdir(exist_ok=True, parents=True)
    for name, rows in content.items():
        lines = rows if isinstance(rows, str) else "\n".join(", ".join(map(str, np.atleast_1d(row))) for row in rows)
        (folder / f"TOY_{name}.txt").write_text(lines + "\n")
    (folder / "README.txt").write_text("about these files\n")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("without", [(), ("node_labels",), ("node_attributes",)])
def test_graphs_agree_with_pyg(tmp_path: Path, without: tuple[str, ...], regression: bool) -> None:
    left_out = {*without, "graph_labels" if regression else "graph_attributes"}
    files = write(tmp_path, {name: rows for name, rows in tables().items() if name not in left_out})
    data, slices, _ = read_tu_data(str(tmp_path), "TOY")
    made = read_tu(files, task="regression" if regression else "classification", target=int(regression))
    assert torch.equal(made.x, data.x) and torch.equal(made.ptr, slices["x"])
    assert torch.equal(made.y, data.y[:, 1] if regression else data.y)
    shift = made.ptr[:-1].repeat_interleave(slices["edge_index"].diff())
    assert torch.equal(with_edges(made).edge_index, data.edge_index + shift)
    assert made.class_names == (None if regression else ["-1", "1"])


def test_features_of_graphs_without_features(tmp_path: Path) -> None:
    files = write(tmp_path, {name: rows for name, rows in tables().items() if not name.startswith("node")})
    with pytest.raises(UserError, match=r"^there is no TOY_node_labels\.txt or TOY_node_attributes\.txt: use "):
        read_tu(files)
    assert read_tu(files, features="ones").x.unique().tolist() == [1.0]
    degree = read_tu(files, features="degree")
    both = with_edges(degree).edge_index[0].bincount(minlength=degree.num_nodes)
    assert torch.equal(degree.x.argmax(1), both) and degree.x.sum(1).unique().tolist() == [1.0]


def test_edge_labels_are_ignored_on_request(tmp_path: Path) -> None:
    content = tables()
    files = write(tmp_path, content | {"edge_labels": [0] * len(content["A"])})
    with pytest.raises(UserError, match=r"^TOY_edge_labels\.txt holds attributes of edges, .* dataset\.edge_weight"):
        read_tu(files)
    assert read_tu(files, edge_weight="none").num_graphs == GRAPHS


def joined(content: Tables) -> list[Any]:
    return [(1, len(content["graph_indicator"])), *content["A"]]


WRONG: list[tuple[Any, str]] = [
    (lambda t: {"A": joined(t)}, "TOY_A.txt connects two graphs in line 1: an edge must stay within one graph"),
    (lambda t: {"A": [(1, 999)]}, "TOY_A.txt must hold nodes 1 to "),
    (lambda t: {"A": [1, 2]}, "TOY_A.txt must hold 2 whole numbers in every line"),
    (lambda t: {"A": "1, 2\n3, 4, 5"}, "TOY_A.txt must hold numbers separated by commas, the same count in every line"),
    (lambda t: {"node_labels": "a\nb"}, "TOY_node_labels.txt must hold finite numbers separated by commas"),
    (lambda t: {"node_labels": [1]}, "TOY_node_labels.txt must have a line for each of "),
    (lambda t: {"graph_labels": [1]}, f"TOY_graph_labels.txt must have a line for each of {GRAPHS} graphs, got 1"),
    (lambda t: {"graph_labels": [1] * GRAPHS}, "y must hold two or more classes, got 1: there is nothing to classify"),
    (lambda t: {"graph_indicator": t["graph_indicator"][::-1]}, "TOY_graph_indicator.txt must list the nodes of one"),
    (lambda t: {"graph_indicator": [g - 1 for g in t["graph_indicator"]]}, "TOY_graph_indicator.txt must number graph"),
    (lambda t: {"graph_indicator": [2 * g for g in t["graph_indicator"]]}, "TOY_graph_indicator.txt has no node of gr"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, change: Any, sentence: str) -> None:
    content = tables()
    with pytest.raises(UserError) as error:
        read_tu(write(tmp_path, content | change(content)))
    assert str(error.value).startswith(sentence)


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the folder holds no file NAME_A\.txt: dataset\.path must be the"):
        read_tu(write(tmp_path / "none", {}))
    few = write(tmp_path / "few", {"A": [(1, 2)]})
    with pytest.raises(UserError, match=r"^there is no TOY_graph_indicator\.txt: "):
        read_tu(few)
    files = write(tmp_path / "no labels", {name: rows for name, rows in tables().items() if name != "graph_labels"})
    with pytest.raises(UserError, match=r"^there is no TOY_graph_labels\.txt .* use dataset\.task=regr"):
        read_tu(files)
    (tmp_path / "few" / "OTHER_A.txt").write_text("1, 2\n")
    with pytest.raises(UserError, match=r"^the folder holds the files of OTHER and TOY: "):
        read_tu(sorted((tmp_path / "few").iterdir()))


def test_a_missing_attribute_column(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^dataset\.target must be a column of TOY_graph_attributes\.txt, 0 to 1$"):
        read_tu(write(tmp_path, tables()), task="regression", target=2)


def test_an_unknown_kind_of_features(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^dataset\.features must be one of auto, degree, ones, got x$"):
        read_tu(write(tmp_path, tables()), features="x")

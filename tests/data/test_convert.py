"""Graphs in memory: every type of the same graph gives the same dataset."""

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch_geometric.data import Data

from depthlab.config.errors import UserError
from depthlab.data.convert import to_dataset
from depthlab.data.dataset import Dataset

NODES = 12
EDGES = np.stack([np.arange(NODES), (np.arange(NODES) + 1) % NODES])
X = np.random.default_rng(0).standard_normal((NODES, 3)).astype(np.float32)
Y = np.arange(NODES) % 3
WEIGHTS = 1.0 + np.arange(NODES)
PART = np.arange(NODES) % 4
MASKS = {"train": PART < 2, "val": PART == 2, "test": PART == 3}


def data(**changes: Any) -> Data:
    tensors: dict[str, Any] = {"x": torch.tensor(X), "edge_index": torch.tensor(EDGES), "y": torch.tensor(Y)}
    masks = {f"{part}_mask": torch.tensor(mask) for part, mask in MASKS.items()}
    content = tensors | masks | {"edge_weight": torch.tensor(WEIGHTS)} | changes
    return Data(**{name: value for name, value in content.items() if value is not None})


def networkx_graph() -> Any:
    graph = nx.Graph()
    for node in range(NODES):
        graph.add_node(f"n{node}", x=X[node], y=int(Y[node]), split=("train", "train", "val", "test")[PART[node]])
    for number, (source, target) in enumerate(EDGES.T):
        graph.add_edge(f"n{source}", f"n{target}", weight=WEIGHTS[number])
    return graph


def forms() -> dict[str, Dataset]:
    matrix = csr_array((WEIGHTS, tuple(EDGES)), shape=(NODES, NODES))
    return {
        "Data": to_dataset(data()),
        "networkx": to_dataset(networkx_graph()),
        "scipy": to_dataset(matrix, X, Y, **MASKS),
        "numpy": to_dataset(EDGES, X, Y, edge_weight=WEIGHTS, **MASKS),
        "torch": to_dataset(torch.tensor(EDGES), torch.tensor(X), torch.tensor(Y)[:, None],
                            edge_weight=torch.tensor(WEIGHTS), **MASKS),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["Data", "networkx", "scipy", "numpy", "torch"])
def test_every_type_gives_the_same_dataset(form: str) -> None:
    found = forms()[form]
    assert found.num_nodes == NODES and found.edge_index.shape == (2, 2 * NODES) and not found.directed
    np.testing.assert_array_equal(found.x, X)
    np.testing.assert_array_equal(found.y, Y)
    for part, mask in MASKS.items():
        np.testing.assert_array_equal(getattr(found, part), mask[None])
    dense = torch.zeros(NODES, NODES)
    assert found.edge_weight is not None
    dense[found.edge_index[0], found.edge_index[1]] = found.edge_weight
    expected = np.zeros((NODES, NODES), np.float32)
    expected[EDGES[0], EDGES[1]] = WEIGHTS
    np.testing.assert_array_equal(dense, expected + expected.T)


def test_splits_are_columns_or_rows_and_a_single_part_is_for_all_splits() -> None:
    train = torch.stack([torch.tensor(MASKS["train"]), torch.tensor(MASKS["val"])], dim=1)
    val = torch.stack([torch.tensor(MASKS["val"]), torch.tensor(MASKS["train"])], dim=1)
    found = to_dataset(data(train_mask=train, val_mask=val))
    assert torch.equal(found.train, train.T) and torch.equal(found.val, val.T)
    np.testing.assert_array_equal(found.test, np.stack([MASKS["test"]] * 2))


def test_without_masks_splits_are_drawn() -> None:
    found = to_dataset(EDGES, X, Y)
    assert found.train.shape == (0, NODES) and found.notes == []
    assert sorted(torch.cat(found.parts("1")).tolist()) == list(range(NODES))
    with pytest.raises(UserError, match="split=random needs more than 20 nodes in every class"):
        to_dataset(EDGES, X, Y, sizes=(20, 500, 1000)).parts("0")


def test_a_missing_mask_is_noted() -> None:
    found = to_dataset(data(val_mask=None))
    assert found.train.shape == (0, NODES)
    assert found.notes == ["found train_mask and test_mask but no val_mask: all splits are drawn at random"]


def test_floating_point_targets_are_a_regression() -> None:
    found = to_dataset(data(y=torch.rand(NODES, 1)))
    assert found.y.dtype == torch.float32 and found.y.shape == (NODES,) and found.class_names is None


def test_a_directed_graph_is_kept_on_request() -> None:
    kept, both = to_dataset(data(), directed=True), to_dataset(data(edge_weight=None))
    assert kept.directed and torch.equal(kept.edge_index[:, :-1], torch.tensor(EDGES)[:, :-1])
    assert both.edge_index.shape[1] == 2 * NODES and both.notes == []


def test_edge_attributes_are_used_on_request() -> None:
    attributed = data(edge_weight=None, edge_attr=torch.tensor(WEIGHTS)[:, None])
    found = to_dataset(attributed, edge_weight="edge_attr").edge_weight
    assert found is not None and found.sum() == 2 * WEIGHTS.sum()
    assert to_dataset(attributed, edge_weight="none").edge_weight is None
    both = data(edge_attr=torch.rand(NODES, 3))
    with pytest.raises(
        UserError, match=r"edge_attr of shape \(12, 3\) is not used by default: edge_weight=edge_weight uses"
    ):
        to_dataset(both)
    assert torch.equal(*(to_dataset(d, edge_weight="edge_weight").tensors["edge_weight"] for d in (both, data())))


def edged(value: Any) -> Data:
    return data(edge_weight=None, edge_attr=torch.tensor(WEIGHTS)[:, None].expand(-1, value).clone())


REFUSED = [
    (data(x=None), {}, "there is no x, the features of shape (nodes, features): for nodes without features use"),
    (data(y=None), {}, "there is no y, the targets of shape (nodes,)"),
    (data(edge_index=None), {}, "the Data has no edge_index, only edge_weight, test_mask, train_mask, val_mask, x, y"),
    (data(y=torch.ones(NODES, 2)), {}, "y must hold one target for each node, got 2: choose a column, y[:, 0], or for"),
    (edged(1), {}, "edge attribute edge_attr of shape (12, 1) is not used by default: edge_weight="),
    (edged(3), {}, "edge attribute edge_attr of shape (12, 3) is not used by default: edge_weight=none"),
    (edged(3), {"edge_weight": "edge_attr"}, "edge_attr has shape (12, 3), and a weight is one number for each edge"),
    (edged(3), {"edge_weight": "width"}, "there is no edge attribute width: edge_weight must be one of edge_attr"),
    (data(edge_weight=torch.full((NODES,), -1.0)), {}, "edge_weight must hold finite numbers of at least 0, got -1.0"),
    (data(edge_weight=torch.full((NODES,), torch.nan)), {}, "edge_weight must hold finite numbers of at least 0, got"),
    (data(edge_weight=torch.zeros(NODES)), {}, "all edges have weight 0"),
    (data(edge_weight=torch.zeros(3)), {}, "edge_weight must hold numbers of shape (12,), one for each edge of"),
    (data(edge_index=torch.tensor([[0], [12]]), edge_weight=None), {}, "edge_index must hold node numbers from 0 to"),
    (data(edge_index=torch.zeros(2, 0).long(), edge_weight=None), {}, "edge_index holds no edge between two nodes"),
    (data(val_mask=torch.tensor(MASKS["train"])), {}, "train_mask and val_mask share nodes, the first is node 0"),
    (data(val_mask=torch.zeros(NODES).bool()), {}, "val_mask holds no node in split 0"),
    (data(), {"class_names": ["a"]}, "class_names must hold 3 names, got 1"),
    (data(), {"node_names": ["a"]}, "node_names must hold 12 names, got 1"),
    (csr_array(np.ones((2, 3))), {}, "the matrix must have shape (nodes, nodes), got (2, 3)"),
    ("cora", {}, "the graph must be a PyG Data, a networkx graph, a SciPy sparse matrix, or edges (2, m), got str"),
    (EDGES, {"x": X, "y": [None, 1.5, "a"] * 4}, "y must hold whole numbers or names of classes, got float, str"),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "arguments", "sentence"), REFUSED)
def test_what_is_refused(graph: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        to_dataset(graph, **arguments)
    assert str(error.value).startswith(sentence)

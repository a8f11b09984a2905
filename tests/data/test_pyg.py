"""PyG dataset classes; most of them generate their graph."""

import random
from typing import Any

import numpy as np
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.hashing import tensor_hash
from depthlab.data.pyg import GENERATED, read_pyg

BLOCKS = {"block_sizes": [30, 30], "edge_probs": [[0.2, 0.02], [0.02, 0.2]], "num_channels": 8}
PARTITION = {
    "num_classes": 3, "num_nodes_per_class": 20, "node_homophily_ratio": 0.7, "average_degree": 5, "num_channels": 8,
}  # fmt: skip
ARGS: dict[str, dict[str, Any]] = {
    "KarateClub": {}, "FakeDataset": {"num_graphs": 1, "avg_num_nodes": 50}, "StochasticBlockModelDataset": BLOCKS,
    "RandomPartitionGraphDataset": PARTITION,
}  # fmt: skip


@pytest.mark.filterwarnings("error:Weights only load failed")  # PyG's warning before it unpickles
@pytest.mark.parametrize("name", GENERATED)
def test_generated_data_depend_on_the_seed(name: str) -> None:
    allowed = set(torch.serialization.get_safe_globals())
    first, again, other = (tensor_hash(read_pyg([], name, ARGS[name], seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert set(torch.serialization.get_safe_globals()) == allowed
    assert (first == other) == (name == "KarateClub")


def test_karate_club() -> None:
    found = read_pyg([], "KarateClub")
    assert found.x.shape == (34, 34) and int(found.y.max()) == 3
    assert found.notes == ["found train_mask but no val_mask or test_mask: all splits are drawn at random"]


def test_global_random_generators_are_restored() -> None:
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    read_pyg([], "StochasticBlockModelDataset", BLOCKS)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert str(np.random.get_state()) == states[1] and random.getstate() == states[2]


REFUSED = [
    ("Planetoid", {"name": "Cora"}, "Planetoid may download files, and PyG unpickles some of them, which can run"),
    ("KarateKlub", {}, "torch_geometric.datasets has no class KarateKlub: use dataset.name=KarateClub, or another"),
    ("utils", {}, "torch_geometric.datasets has no class utils: use dataset.name="),
    ("KarateClub", {"size": 3}, "KarateClub has no argument size: dataset.args must be among none"),
    ("StochasticBlockModelDataset", {}, "StochasticBlockModelDataset needs block_sizes: add dataset.args.block_sizes"),
    ("StochasticBlockModelDataset", BLOCKS | {"edge_probs": "a"}, "StochasticBlockModelDataset cannot be created ("),
    (
        "StochasticBlockModelDataset",
        {"block_sizes": 5, "edge_probs": 3},
        "StochasticBlockModelDataset cannot be created (AssertionError): correct dataset.args",
    ),
    ("FakeDataset", {"num_graphs": 4, "edge_dim": 2}, "graph 0: edge attribute edge_attr of shape ("),
    ("StochasticBlockModelDataset", BLOCKS | {"num_channels": None}, "there is no x, the features of shape"),
    ("FakeDataset", {"num_graphs": 1, "edge_dim": 2}, "edge attribute edge_attr of shape ("),
]


@pytest.mark.parametrize(("name", "args", "sentence"), REFUSED)
def test_what_is_refused(name: str, args: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read_pyg([], name, args)
    assert str(error.value).startswith(sentence)


def test_a_class_that_downloads_is_made_in_the_data_folder_if_trusted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    made = []

    def init(self: object, root: str, name: str) -> None:
        made.append((root, name))
        raise OSError("no network")

    monkeypatch.setattr("torch_geometric.datasets.Planetoid.__init__", init)
    with pytest.raises(
        UserError, match=r"^Planetoid cannot be created \(OSError: no network\): correct dataset\.args, or"
    ):
        read_pyg([], "Planetoid", {"name": "Cora"}, trust_downloads=True)
    assert made == [(str(tmp_path / "data" / "pyg" / "Planetoid-Cora"), "Cora")]


def test_generated_graphs_depend_on_the_seed() -> None:
    args = {"num_graphs": 12, "num_classes": 2, "avg_num_nodes": 6}
    found, again, other = (read_pyg([], "FakeDataset", args, seed=seed) for seed in (1, 1, 2))
    assert isinstance(found, GraphCollection) and isinstance(again, GraphCollection)
    assert found.num_graphs == 12 and not found.has_node_targets
    assert torch.equal(found.x, again.x) and not torch.equal(found.x[:9], other.x[:9])
    nodes = read_pyg([], "FakeDataset", args | {"task": "node"})
    assert isinstance(nodes, GraphCollection) and nodes.has_node_targets

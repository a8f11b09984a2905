"""A batch cut from a large graph: its core is what it is in the whole graph."""

from pathlib import Path

import torch
from torch import Tensor

from depthlab.data.dataset import Dataset
from depthlab.data.prepare import read
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.nn.gcn import GCN
from depthlab.nn.gin import GIN
from tests.settings import dataset_settings

CORE = torch.arange(5, 60, 3)


def small(scratch: Path) -> tuple[LargeGraph, Tensor]:
    data = read(dataset_settings(nodes=120, degree=4.0, features=6))
    assert isinstance(data, Dataset)
    neighbours = Neighbours.of(data.edge_index, data.num_nodes)
    return LargeGraph(data.x, neighbours, data.y, *data.parts("0"), scratch=scratch), data.edge_index


def test_a_batch_has_its_core_and_the_nodes_around(tmp_path: Path) -> None:
    large, edge_index = small(tmp_path)
    batch = large.batch(CORE)
    nodes = large.neighbours.around(CORE)
    assert isinstance(batch.x, Tensor) and torch.equal(batch.x, large.x[nodes]) and torch.equal(batch.y, large.y[nodes])
    trained = set(CORE.tolist()) & set(large.train.tolist())
    assert set(nodes[batch.train].tolist()) == trained and len(batch.train) == len(trained) > 0
    assert batch.val.numel() == batch.test.numel() == 0
    inside = {(a, b) for a, b in edge_index.T.tolist() if a in nodes and b in nodes}
    assert set(map(tuple, nodes[batch.edge_index].T.tolist())) == inside


def test_one_layer_gives_the_core_the_states_of_the_whole_graph(tmp_path: Path) -> None:
    large, edge_index = small(tmp_path)
    batch, whole = large.batch(CORE), gcn_adjacency(edge_index, 120)
    inner = torch.searchsorted(large.neighbours.around(CORE), CORE)
    assert len(batch.y) < 120, "nothing would be cut"
    for kind in (GCN, GIN):
        torch.manual_seed(0)
        model = kind(6, 2, depth=1, hidden=8).eval()
        torch.testing.assert_close(model(batch.x, batch.adjacency)[inner], model(large.x, whole)[CORE])


def test_the_whole_adjacency(tmp_path: Path) -> None:
    large, edge_index = small(tmp_path)
    torch.testing.assert_close(large.adjacency.matrix.to_dense(), gcn_adjacency(edge_index, 120).matrix.to_dense())
    assert large.adjacency is large.adjacency

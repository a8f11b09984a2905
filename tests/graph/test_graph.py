import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
ONE_WAY = torch.tensor([[0, 2, 3], [1, 1, 0]])


def make_graph(edge_index: Tensor, sparse: bool = False) -> Graph:
    x: Tensor | SparseFeatures = torch.eye(4)
    if sparse:
        x = SparseFeatures.from_csr(torch.arange(5), torch.arange(4), torch.ones(4), (4, 4))
    parts = (torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3]))
    return Graph(x, gcn_adjacency(edge_index, 4), torch.tensor([0, 1, 0, 1]), *parts)


def as_set(edge_index: Tensor) -> set[tuple[int, ...]]:
    return {tuple(edge) for edge in edge_index.T.tolist()}


@pytest.mark.parametrize("edge_index", [PATH, ONE_WAY, torch.empty(2, 0, dtype=torch.long)])
def test_edges_come_back_from_source_to_target(edge_index: Tensor) -> None:
    graph = make_graph(edge_index)
    assert graph.edge_index.shape == edge_index.shape
    assert as_set(graph.edge_index) == as_set(edge_index)


def test_edges_exclude_self_loops_and_repeats() -> None:
    noisy = torch.cat([PATH, PATH[:, :2], torch.tensor([[3, 1], [3, 1]])], dim=1)
    graph = make_graph(noisy)
    assert graph.edge_index.shape == (2, 4)
    assert as_set(graph.edge_index) == as_set(PATH)


@pytest.mark.parametrize("edge_index", [PATH, ONE_WAY, torch.empty(2, 0, dtype=torch.long)])
def test_undirected_edges_stand_in_both_directions_once(edge_index: Tensor) -> None:
    edges = make_graph(edge_index).undirected_edges
    assert as_set(edges) == as_set(edge_index) | as_set(edge_index.flip(0))
    assert edges.shape[1] == len(as_set(edges))


WIDER = torch.tensor([[0, 0, 3, 3, 4, 4], [3, 4, 0, 4, 0, 3]])


def propagated(adjacency: Adjacency) -> set[tuple[int, ...]]:
    return as_set(torch.stack([adjacency.col, adjacency.row])[:, ~adjacency.loops])


@pytest.mark.parametrize("new", [0, 1, 3])
def test_a_rewired_graph_keeps_data_split_and_measured_edges(new: int) -> None:
    graph = make_graph(PATH)
    edges, x = (PATH.flip(0) if new == 0 else WIDER), torch.eye(4 + new, 4)
    rewired = graph.rewired(x, edges)
    assert rewired.layers is rewired.adjacency
    assert propagated(rewired.adjacency) == as_set(edges)
    assert as_set(rewired.edge_index) == as_set(PATH)
    assert (rewired.num_nodes, rewired.new_nodes, rewired.adjacency.num_nodes) == (4, new, 4 + new)
    assert rewired.y.tolist() == graph.y.tolist() + [-1] * new
    assert (rewired.train, rewired.val, rewired.test) == (graph.train, graph.val, graph.test)
    assert as_set(graph.edge_index) == as_set(PATH) and graph.new_nodes == 0


def test_a_graph_that_is_rewired_for_its_last_layer() -> None:
    rewired = make_graph(PATH).rewired(torch.eye(5, 4), WIDER, last_of=2)
    assert propagated(rewired.layers.at(0)) == as_set(PATH)
    assert propagated(rewired.layers.at(1)) == as_set(WIDER)
    assert rewired.layers.at(0).num_nodes == rewired.layers.at(1).num_nodes == 5
    assert as_set(rewired.edge_index) == as_set(PATH)
    moved = rewired.to("meta")
    assert moved.last is not None and moved.original is not None
    assert moved.last.row.device.type == moved.original.device.type == "meta"
    assert (moved.depth, moved.new_nodes) == (2, 1)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_on_its_own_device_the_graph_is_itself(device: torch.device | str) -> None:
    graph = make_graph(PATH)
    assert graph.to(device) is graph


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("edge_index", [PATH, ONE_WAY])
def test_every_part_moves(edge_index: Tensor, sparse: bool) -> None:
    graph = make_graph(edge_index, sparse)
    moved = graph.to("meta")
    features = [moved.x] if isinstance(moved.x, Tensor) else [moved.x.matrix, moved.x.transpose, moved.x.order]
    a = moved.adjacency
    tensors = [*features, a.matrix, a.transpose, a.row, a.col, a.pair, a.order]
    tensors += [moved.y, moved.train, moved.val, moved.test]
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert a.symmetric == graph.adjacency.symmetric
    assert (moved.train.numel(), moved.val.numel(), moved.test.numel()) == (2, 1, 1)
    assert graph.y.device.type == "cpu"

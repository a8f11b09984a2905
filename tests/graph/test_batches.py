"""Mini-batches against PyG's, and each graph by itself."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.batches import GraphBatches, OneGraph, disjoint_copies
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN
from depthlab.nn.gin import GIN
from depthlab.ops import SparseFeatures
from tests.nn.test_equations import Layers, pyg_gcn, pyg_gin

NODES, WIDTH, GRAPHS, ROOT = 5, 6, 23, 2
UP = torch.tensor([[1, 2, 3, 4], [0, 0, 1, 1]])  # a small tree, from child to parent alone
RING = torch.tensor([[0, 1, 2, 3, 4, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 0, 1, 2, 3, 4]])
TOPOLOGY = pytest.mark.parametrize("edge_index", [UP, RING], ids=["up", "ring"])
KIND = pytest.mark.parametrize("kind", ["dense", "codes"])
PARTS = (torch.arange(0, 14), torch.arange(14, 19), torch.arange(19, GRAPHS))


def make(edge_index: Tensor = RING, kind: str = "codes", batch_size: int = 4, seed: int = 0) -> GraphBatches:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(GRAPHS, NODES, WIDTH, generator=generator)
    if kind == "codes":
        key, value = (torch.randint(-1, WIDTH // 2, (GRAPHS, NODES), generator=generator) for _ in range(2))
        x = torch.stack([key, torch.where(value < 0, -1, value + WIDTH // 2)], 2).short()
    y = torch.randint(0, 3, (GRAPHS,), generator=generator)
    return GraphBatches(x, WIDTH, edge_index, ROOT, y, PARTS, batch_size, seed, task_range=2)


def one_hot(codes: Tensor) -> Tensor:
    """The features that codes (..., k) stand for, written out."""
    x = torch.zeros(*codes.shape[:-1], WIDTH + 1)
    return x.scatter_(-1, torch.where(codes < 0, WIDTH, codes.long()), 1)[..., :WIDTH]


def features(batches: GraphBatches, number: int) -> Tensor:
    return batches.x[number] if batches.x.is_floating_point() else one_hot(batches.x[number])


def dense(x: Tensor | SparseFeatures) -> Tensor:
    return x.to_dense() if isinstance(x, SparseFeatures) else x


@KIND
@TOPOLOGY
def test_batches_agree_with_pyg(edge_index: Tensor, kind: str) -> None:
    batches = make(edge_index, kind)
    numbers = torch.tensor([7, 3, 20, 3])
    graph = batches.graph(numbers, "train")
    theirs = Batch.from_data_list([Data(x=features(batches, int(i)), edge_index=edge_index) for i in numbers])
    assert torch.equal(dense(graph.x), theirs.x)
    assert set(map(tuple, graph.edge_index.T.tolist())) == set(map(tuple, theirs.edge_index.T.tolist()))
    assert graph.train.tolist() == [2, 7, 12, 17]
    assert torch.equal(graph.y[graph.train], batches.y[numbers])
    assert (graph.y >= 0).sum() == 4 and graph.val.numel() == graph.test.numel() == 0
    assert isinstance(graph.x, SparseFeatures) == (kind == "codes")


@KIND
@TOPOLOGY
@pytest.mark.parametrize(("model", "layers"), [(GCN, pyg_gcn), (GIN, pyg_gin)])
def test_a_batch_gives_what_pyg_gives_for_each_graph_by_itself(
    edge_index: Tensor, kind: str, model: Callable[..., GCN | GIN], layers: Layers
) -> None:
    batches = make(edge_index, kind)
    torch.manual_seed(0)
    network = model(WIDTH, 3, depth=1, hidden=8)
    exact = copy.deepcopy(network).double()
    for part, numbers in zip(("train", "val", "test"), PARTS, strict=True):
        graph = batches.graph(numbers, part)
        ours = network(graph.x, graph.adjacency)[getattr(graph, part)]
        theirs = [layers(exact, features(batches, int(i)).double(), edge_index)[ROOT] for i in numbers]
        torch.testing.assert_close(ours, torch.stack(theirs).float())


def test_disjoint_copies() -> None:
    edges = disjoint_copies(torch.tensor([[0, 1], [1, 2]]), 3, 2)
    assert set(map(tuple, edges.T.tolist())) == {(0, 1), (1, 2), (3, 4), (4, 5)}


def test_an_epoch_holds_every_training_graph_once() -> None:
    batches = make(batch_size=4)
    sizes = [len(graph.train) for graph in batches]
    assert sizes == [4, 4, 4, 2] and len(batches) == 4
    drawn = torch.cat([graph.y[graph.train] for graph in batches])
    assert torch.equal(drawn.sort().values, batches.y[PARTS[0]].sort().values)
    assert torch.equal(batches.labels, batches.y[PARTS[0]])
    assert len(make(batch_size=14)) == len(make(batch_size=1000)) == 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int, earlier: int = 0) -> list[list[float]]:
        batches = make(kind="dense", seed=seed)
        for previous in range(earlier):
            batches.set_epoch(previous)
            list(batches)
        batches.sampler.set_epoch(epoch)
        return [dense(graph.x).flatten().tolist() for graph in batches]

    assert order(1, 5) == order(1, 5) == order(1, 5, earlier=5)
    assert order(1, 5) != order(1, 6)
    assert order(1, 5) != order(2, 5)


def test_one_adjacency_serves_all_batches_of_a_size() -> None:
    batches = make(batch_size=4)
    with torch.inference_mode():
        list(batches.all_parts)
    first, second, third, last = batches
    assert first.adjacency is second.adjacency is third.adjacency is not last.adjacency
    assert not first.adjacency.matrix.is_inference()
    assert all(graph.adjacency in (first.adjacency, last.adjacency) for graph in batches)


def test_what_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.graph.mini_batches.SAMPLE", 6)
    batches = make(batch_size=4)

    def sizes(graphs: object) -> list[tuple[int, int, int]]:
        return [(len(g.train), len(g.val), len(g.test)) for g in graphs]  # type: ignore[attr-defined]

    assert sizes(batches.validation) == [(4, 0, 0), (2, 0, 0), (0, 4, 0), (0, 1, 0)]
    assert sizes(batches.all_parts) == [(4, 0, 0)] * 3 + [(2, 0, 0), (0, 4, 0), (0, 1, 0), (0, 0, 4)]
    assert set(batches.sample.tolist()) <= set(PARTS[0].tolist())
    assert torch.equal(make(seed=9).sample, batches.sample)  # the same in every run
    val = torch.cat([graph.y[graph.val] for graph in batches.validation])
    assert torch.equal(val, batches.y[PARTS[1]])


def test_the_probe_has_a_bounded_number_of_validation_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = make()
    assert torch.equal(batches.probe.y[batches.probe.train], batches.y[PARTS[1][:4]])
    monkeypatch.setattr("depthlab.graph.batches.PROBE_NODES", 3 * NODES)
    assert len(make().probe.train) == 3
    monkeypatch.setattr("depthlab.graph.batches.PROBE_NODES", 1)
    assert len(make().probe.train) == 1


def test_one_graph_is_every_batch() -> None:
    nodes = torch.arange(4)
    graph = Graph(torch.eye(4), gcn_adjacency(RING[:, :2], 4), nodes % 2, nodes[:2], nodes[2:3], nodes[3:])
    batches = OneGraph(graph)
    batches.sampler.set_epoch(3)
    assert list(batches) == list(batches.validation) == list(batches.all_parts) == [graph]
    assert (len(batches), batches.probe, batches.labels.tolist()) == (1, graph, [0, 1])

"""Batches of graphs of different topology against PyG's `DataLoader`, and its pooling."""

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool
from torch_geometric.utils import erdos_renyi_graph

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.collection_batches import BlockEdges, CollectionBatches
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN
from depthlab.tasks.task import Classification, Regression
from tests.nn.test_equations import pyg_gcn

WIDTH, GRAPHS = 4, 23
PARTS = (torch.arange(0, 14), torch.arange(14, 19), torch.arange(19, GRAPHS))
POOLS = {"mean": global_mean_pool, "sum": global_add_pool, "max": global_max_pool}


def make_graphs(node_targets: bool = False) -> list[Data]:
    """Random graphs of 1 to 9 nodes, some without edges."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    graphs = []
    for number in range(GRAPHS):
        nodes = number % 9 + 1
        x = torch.randn(nodes, WIDTH, generator=generator)
        y = torch.randint(0, 3, (nodes if node_targets else 1,), generator=generator)
        graphs.append(Data(x=x, edge_index=erdos_renyi_graph(nodes, 0.4), y=y))
    return graphs


def make(pooling: str = "mean", batch_size: int = 4, seed: int = 0, rewired: Tensor | None = None) -> CollectionBatches:
    whole = Batch.from_data_list(make_graphs(pooling == "none"))
    return CollectionBatches(
        whole.x, whole.edge_index, whole.ptr, whole.y, pooling, PARTS, batch_size, seed, rewired
    )  # fmt: skip


def as_set(edges: Tensor) -> set[tuple[int, ...]]:
    return set(map(tuple, edges.T.tolist()))


@pytest.mark.parametrize("numbers", [[7, 3, 20, 3], [0], [9]])
def test_batches_agree_with_pyg(numbers: list[int]) -> None:
    ours, graphs = make().graph(torch.tensor(numbers), "train"), make_graphs()
    theirs = next(iter(DataLoader([graphs[number] for number in numbers], batch_size=len(numbers))))
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.y, theirs.y)  # type: ignore[arg-type]
    assert as_set(ours.edge_index) == as_set(theirs.edge_index)
    assert ours.ptr is not None and torch.equal(ours.ptr, theirs.ptr)
    assert torch.equal(ours.train, torch.arange(len(numbers))) and ours.val.numel() == ours.test.numel() == 0
    assert torch.equal(ours.node_targets, theirs.y[theirs.batch]) and ours.num_nodes == theirs.num_nodes


@pytest.mark.parametrize("pooling", POOLS)
def test_outputs_losses_and_gradients_agree_with_pyg(pooling: str) -> None:
    numbers = torch.tensor([2, 11, 5, 8])
    graph, theirs = make(pooling).graph(numbers, "val"), Batch.from_data_list([make_graphs()[i] for i in numbers])
    torch.manual_seed(0)
    network = GCN(WIDTH, 3, depth=2, hidden=8).double()
    adjacency = graph.adjacency.with_values(graph.adjacency.values.double())
    task = Classification("acc", ("acc",), 3)
    x = theirs.x.double().requires_grad_()
    outputs, targets = task.read(network(x, adjacency), graph, "val")
    pooled = POOLS[pooling](pyg_gcn(network, x, theirs.edge_index), theirs.batch)
    torch.testing.assert_close(outputs, pooled, rtol=1e-6, atol=1e-6)  # P is in float32
    losses = task.loss(outputs, targets), torch.nn.functional.cross_entropy(pooled, theirs.y)
    ours, expected = (torch.autograd.grad(loss, x)[0] for loss in losses)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-7)


def test_the_outputs_of_a_graph_do_not_depend_on_its_batch() -> None:
    batches = make("max")
    torch.manual_seed(0)
    network = GCN(WIDTH, 3, depth=3, hidden=8)

    def outputs(graph: Graph) -> Tensor:
        return graph.read_out(network(graph.x, graph.layers))

    together = outputs(batches.graph(torch.arange(GRAPHS), "test"))
    alone = [outputs(batches.graph(torch.tensor([number]), "test"))[0] for number in range(GRAPHS)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_targets_of_nodes_are_read_at_all_nodes_that_have_one() -> None:
    whole = Batch.from_data_list(make_graphs(node_targets=True))
    y = whole.y.clone()
    y[::3] = -1
    batches = CollectionBatches(whole.x, whole.edge_index, whole.ptr, y, "none", PARTS, 4)
    graph = batches.graph(torch.tensor([8, 2]), "test")
    assert graph.ptr is None and torch.equal(graph.test, (graph.y >= 0).nonzero().view(-1))
    assert torch.equal(graph.y, torch.cat([y[whole.batch == number] for number in (8, 2)]))
    trained = y[whole.ptr[0] : whole.ptr[14]]
    assert torch.equal(batches.labels, trained[trained >= 0])


def test_labels_are_the_known_targets_of_the_training_graphs() -> None:
    whole = Batch.from_data_list(make_graphs())
    numbers = whole.y.float()
    numbers[:2] = torch.nan
    batches = CollectionBatches(whole.x, whole.edge_index, whole.ptr, numbers, "mean", PARTS, 4)
    assert torch.equal(batches.labels, numbers[2:14])
    graph = batches.graph(torch.tensor([5, 6]), "train")
    output, target = Regression("mae", ("mae",), 1).read(torch.ones(graph.x.shape[0], 1), graph, "train")
    assert output.shape == (2, 1) and torch.equal(target, numbers[5:7])


def test_the_probe_has_a_bounded_number_of_validation_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes() -> list[int]:
        ptr = make().probe.ptr
        assert ptr is not None
        return ptr.diff().tolist()

    assert sorted(sizes()) == sorted(graph.num_nodes or 0 for graph in make_graphs()[14:19])
    for limit in (10, 1):
        monkeypatch.setattr("depthlab.graph.collection_batches.PROBE_NODES", limit)
        assert len(sizes()) == 1 or sum(sizes()) <= limit


def test_no_batch_is_larger_than_the_one_that_memory_is_estimated_with() -> None:
    batches = make()
    assert batches.largest.num_nodes == 9 + 8 + 7 + 6
    assert all(graph.num_nodes <= batches.largest.num_nodes for graph in batches)


@pytest.mark.parametrize(("batch_size", "single"), [(1, True), (13, True), (4, False), (14, False)])
def test_a_possible_batch_of_one_node_is_detected(batch_size: int, single: bool) -> None:
    assert make(batch_size=batch_size).may_have_single_node == single


def test_new_nodes_come_last_and_are_not_pooled() -> None:
    whole = Batch.from_data_list(make_graphs())
    nodes, new = whole.num_nodes, torch.arange(GRAPHS)[whole.batch] + whole.num_nodes  # one new node for each graph
    edges = torch.cat([torch.stack([torch.arange(nodes), new]), torch.stack([new, torch.arange(nodes)])], 1)
    batches, numbers = make(rewired=edges), torch.tensor([4, 12])
    graph = batches.graph(numbers, "train")
    assert (graph.num_nodes, graph.new_nodes, graph.x.shape[0]) == (9, 2, 11)
    assert torch.equal(graph.x[9:], torch.zeros(2, WIDTH))  # type: ignore[index]
    joined = {(node, 9 if node < 5 else 10) for node in range(9)}
    wired = torch.stack([graph.adjacency.row, graph.adjacency.col])[:, ~graph.adjacency.loops]
    assert as_set(wired) == joined | {(b, a) for a, b in joined}
    assert as_set(graph.edge_index) == as_set(make().graph(numbers, "train").edge_index)  # measures use the old edges
    output = torch.arange(11.0)[:, None]
    assert graph.read_out(output).view(-1).tolist() == [2.0, 6.5]


def test_only_the_last_layer_uses_rewired_edges() -> None:
    whole = Batch.from_data_list(make_graphs())
    ring = whole.edge_index[:, :0]
    batches = CollectionBatches(
        whole.x, whole.edge_index, whole.ptr, whole.y, "mean", PARTS, 4, rewired=ring, last_of=3
    )  # fmt: skip
    graph = batches.graph(torch.tensor([4, 8]), "train")
    assert graph.layers.at(0).num_edges > 0 == graph.layers.at(2).num_edges


def test_edge_weights_belong_to_their_graph() -> None:
    whole = Batch.from_data_list(make_graphs())
    weight = torch.rand(whole.num_edges) + 0.1
    batches = CollectionBatches(whole.x, whole.edge_index, whole.ptr, whole.y, "mean", PARTS, 4, edge_weight=weight)
    for number in (8, 2):
        inside = whole.batch[whole.edge_index[0]] == number
        alone = gcn_adjacency(
            whole.edge_index[:, inside] - whole.ptr[number], int(whole.ptr.diff()[number]), weight[inside]
        )
        first = batches.graph(torch.tensor([number, 5]), "train").adjacency
        torch.testing.assert_close(first.values[: len(alone.values)], alone.values)


@pytest.mark.parametrize("take", [[1, 0, 2], [2], []])
def test_edges_of_blocks(take: list[int]) -> None:
    ptr = torch.tensor([0, 2, 3, 6])
    edges = torch.tensor([[3, 0, 4, 1, 3, 6], [4, 1, 3, 0, 6, 3]])  # node 6 is new, of the third graph
    sizes, start, found = [2, 1, 3], 0, BlockEdges(edges, ptr).of(torch.tensor(take, dtype=torch.long))
    last = sum(sizes[number] for number in take)
    expected: set[tuple[int, ...]] = set()
    for number in take:
        own = {0: [(0, 1), (1, 0)], 1: [], 2: [(0, 1), (1, 0)]}[number]
        expected |= {(a + start, b + start) for a, b in own}
        if number == 2:
            expected |= {(start, last), (last, start)}
        start += sizes[number]
    assert as_set(found) == expected

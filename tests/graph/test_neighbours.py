"""Entries of P as they are needed, against P as a whole."""

import pytest
import torch
from torch import Tensor
from torch_geometric.utils import coalesce, to_undirected

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.neighbours import Neighbours

NODES = 40


def edges(count: int = 70) -> Tensor:
    """Random edges; the last node has none."""
    ends = torch.randint(NODES - 1, (2, count), generator=torch.Generator().manual_seed(0))
    return coalesce(to_undirected(ends[:, ends[0] != ends[1]], num_nodes=NODES), num_nodes=NODES)


def dense(edge_index: Tensor, weights: Tensor | None = None) -> Tensor:
    return gcn_adjacency(edge_index, NODES, weights).matrix.to_dense()


def test_blocks_and_induced_subgraphs_keep_edge_weights() -> None:
    weights = 1.0 + edges().sum(0) % 5
    neighbours, expected = Neighbours.of(edges(), NODES, weights), dense(edges(), weights)
    block, nodes = neighbours.block(3, 20)
    whole = torch.zeros(17, NODES)
    whole[:, nodes] = block.matrix.to_dense()
    torch.testing.assert_close(whole, expected[3:20])
    chosen = torch.tensor([0, 1, 5, 17, 38, 39])
    torch.testing.assert_close(neighbours.induced(chosen).matrix.to_dense(), expected[chosen][:, chosen])


@pytest.mark.parametrize("count", [0, 1, 70])
@pytest.mark.parametrize(("start", "stop"), [(0, NODES), (0, 7), (7, 8), (33, NODES)])
def test_a_block_holds_rows_of_p(count: int, start: int, stop: int) -> None:
    block, nodes = Neighbours.of(edges(count), NODES).block(start, stop)
    assert nodes.tolist()[: stop - start] == list(range(start, stop)) and len(nodes.unique()) == len(nodes)
    whole = torch.zeros(stop - start, NODES)
    whole[:, nodes] = block.matrix.to_dense()
    torch.testing.assert_close(whole, dense(edges(count))[start:stop])
    x = torch.randn(NODES, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block.propagate(x[nodes]), whole @ x)
    assert torch.equal(block.at_rows(x[nodes]), x[start:stop])


@pytest.mark.parametrize("nodes", [[3], [39], [0, 1, 5, 17, 38, 39], list(range(0, NODES, 2)), list(range(NODES))])
def test_what_is_induced_has_the_entries_of_the_whole_graph(nodes: list[int]) -> None:
    chosen = torch.tensor(nodes)
    found = Neighbours.of(edges(), NODES).induced(chosen)
    torch.testing.assert_close(found.matrix.to_dense(), dense(edges())[chosen][:, chosen])


def test_all_nodes_induce_the_adjacency_that_is_made_as_a_whole() -> None:
    whole, found = gcn_adjacency(edges(), NODES), Neighbours.of(edges(), NODES).induced(torch.arange(NODES))
    for name in ("row", "col", "pair", "order"):
        assert torch.equal(getattr(found, name), getattr(whole, name)), name
    assert found.num_edges == whole.num_edges and found.symmetric and found.transpose is found.matrix
    assert torch.equal(found.matrix.crow_indices(), whole.matrix.crow_indices())
    torch.testing.assert_close(found.values, whole.values)


def test_the_nodes_within_one_hop_of_a_core() -> None:
    pairs = set(map(tuple, edges().T.tolist()))
    core = torch.tensor([2, 11, 39])
    wanted = sorted({2, 11, 39} | {b for a, b in pairs if a in (2, 11)})
    assert Neighbours.of(edges(), NODES).around(core).tolist() == wanted

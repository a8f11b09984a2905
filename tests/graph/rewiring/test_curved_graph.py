import pytest
import torch
from torch import Tensor

from depthlab.graph.rewiring.curved_graph import CurvedGraph
from depthlab.measures.curvature import balanced_forman
from tests.graph.rewiring.conftest import assert_form, clique, cycle, pairs, path, random_graph, seeded, undirected


def recomputed(edge_index: Tensor, num_nodes: int) -> dict[tuple[int, ...], float]:
    values = balanced_forman(edge_index, num_nodes).tolist()
    return {tuple(edge): value for edge, value in zip(edge_index.T.tolist(), values, strict=True) if edge[0] < edge[1]}


@pytest.mark.parametrize("probability", [0.05, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_after_every_change_all_curvatures_are_those_of_a_new_computation(probability: float, seed: int) -> None:
    nodes, generator = 16, seeded(seed)
    edges = pairs(random_graph(nodes, probability, seed))
    graph = CurvedGraph(undirected(*edges), nodes)
    assert graph.curvature == recomputed(undirected(*edges), nodes)
    for _ in range(60):
        u, v = sorted(torch.randperm(nodes, generator=generator)[:2].tolist())
        if (u, v) in edges:
            graph.remove(v, u)
        else:
            graph.add(v, u)
        edges ^= {(u, v)}
        assert_form(graph.edge_index)
        assert pairs(graph.edge_index) == edges
        assert graph.curvature == pytest.approx(recomputed(graph.edge_index, nodes), abs=1e-12)


@pytest.mark.parametrize("edge_index", [random_graph(12, 0.3, 0), cycle(6), clique(5), undirected((3, 7))])
def test_the_ends_of_the_order(edge_index: Tensor) -> None:
    graph = CurvedGraph(edge_index, 12)
    ascending = list(graph.most_negative_first())
    values = [graph.curvature[edge] for edge in ascending]
    assert values == sorted(graph.curvature.values())
    assert set(ascending) == pairs(edge_index)
    edge, value = graph.most_positive()
    assert graph.curvature[edge] == value == values[-1]


def test_the_order_of_the_edges_does_not_matter() -> None:
    edge_index = random_graph(12, 0.3, 0)
    shuffled = edge_index[:, torch.randperm(edge_index.shape[1], generator=seeded())]
    assert CurvedGraph(shuffled, 12).curvature == CurvedGraph(edge_index, 12).curvature


def test_the_input_is_not_shared() -> None:
    edge_index = path(4)
    CurvedGraph(edge_index, 4).add(0, 3)
    assert torch.equal(edge_index, path(4))


def test_a_graph_without_edges_has_no_curvatures() -> None:
    graph = CurvedGraph(undirected(), 3)
    assert graph.curvature == {} and list(graph.most_negative_first()) == []
    graph.add(0, 2)
    assert graph.curvature == {(0, 2): 0.0}
    graph.remove(0, 2)
    assert graph.edge_index.shape == (2, 0)

"""Attributes of networkx graphs."""

from typing import Any

import networkx as nx
import pytest

from depthlab.config.errors import UserError
from depthlab.data.convert import to_dataset
from tests.data.test_convert import NODES, Y, networkx_graph


def test_names_are_kept() -> None:
    graph = networkx_graph()
    nx.set_node_attributes(graph, {f"n{node}": "abc"[node % 3] for node in range(NODES)}, "y")
    found = to_dataset(graph)
    assert found.node_names == [f"n{node}" for node in range(NODES)] and found.class_names == ["a", "b", "c"]
    assert found.y.tolist() == Y.tolist()


def test_names_of_attributes() -> None:
    graph = networkx_graph()
    for node, attributes in graph.nodes(data=True):
        attributes |= {"age": int(node[1:]), "size": 1.5, "group": "old" if int(node[1:]) > 5 else "young"}
    found = to_dataset(graph, ["age", "size"], "group", edge_weight="none", split="nothing")
    assert found.x.tolist() == [[node, 1.5] for node in range(NODES)] and found.edge_weight is None
    assert found.class_names == ["old", "young"] and found.train.shape == (0, NODES)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_a_direction_is_that_of_the_graph(kind: type[Any]) -> None:
    graph = kind()
    for node in range(3):
        graph.add_node(node, x=[1.0], y=node % 2)
    graph.add_edge(2, 0, weight=3.0)
    graph.add_edge(0, 1, weight=2.0)
    graph.add_edge(0, 1, weight=2.0)  # a second edge of a multigraph
    found, weight = to_dataset(graph, directed=True), 4.0 if graph.is_multigraph() else 2.0
    edges = {(2, 0): 3.0, (0, 1): weight} | ({} if graph.is_directed() else {(0, 2): 3.0, (1, 0): weight})
    assert found.edge_weight is not None
    listed = zip(found.edge_index.T.tolist(), found.edge_weight.tolist(), strict=True)
    assert {(source, target): value for (source, target), value in listed} == edges
    undirected = to_dataset(graph)
    assert undirected.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]] and undirected.edge_weight is not None
    assert undirected.edge_weight.tolist() == [weight, 3.0, weight, 3.0]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"x": "size"}, "node n0 has no attribute size: x must name one that all nodes have, or be an"),
    ({"edge_weight": "size"}, "an edge has no attribute size: give every edge one, or use"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_what_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        to_dataset(networkx_graph(), **arguments)
    assert str(error.value).startswith(sentence)

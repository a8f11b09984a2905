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


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"x": "size"}, "node n0 has no attribute size: x must name one that all nodes have, or be an"),
    ({"edge_weight": "size"}, "an edge has no attribute size: give every edge one, or use"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_what_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        to_dataset(networkx_graph(), **arguments)
    assert str(error.value).startswith(sentence)

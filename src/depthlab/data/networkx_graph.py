"""Read arrays from the node and edge attributes of a networkx graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from depthlab.config.errors import UserError

PARTS = ("train", "val", "test")


def networkx_arrays(graph: Any, given: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The arrays of a networkx graph; an edge of one without directions is listed in both.

    Args:
        given: as for `depthlab.data.convert.to_dataset`: arrays, or names of attributes.
        split: node attribute with `train`, `val`, `test` or nothing.

    Raises:
        UserError: a node or an edge lacks an attribute.
    """
    number = {node: index for index, node in enumerate(graph.nodes)}
    graph = graph if graph.is_directed() else graph.to_directed(as_view=True)
    edges = [(number[source], number[target]) for source, target in graph.edges()]
    arrays = dict(given) | {"edge_index": np.array(edges, dtype=np.int64).reshape(-1, 2).T}
    names = arrays["x"] if _are_names(arrays["x"]) else ["x"]
    if arrays["x"] is None or _are_names(arrays["x"]):
        names = [names] if isinstance(names, str) else list(names)
        columns = [_attribute(graph, name, "x") for name in names]
        arrays["x"] = np.concatenate([np.asarray(column).reshape(len(number), -1) for column in columns], axis=1)
    if arrays["y"] is None or isinstance(arrays["y"], str):
        arrays["y"] = _attribute(graph, arrays["y"] or "y", "y")
    words = [attributes.get(split) for _, attributes in graph.nodes(data=True)]
    if any(word is not None for word in words) and all(arrays[part] is None for part in PARTS):
        arrays |= {part: np.array([word == part for word in words]) for part in PARTS}
    weight = arrays["edge_weight"]
    if (isinstance(weight, str) and weight != "none") or weight is None:
        name = weight or "weight"
        values = [attributes.get(name) for _, _, attributes in graph.edges(data=True)]
        if (weight and None in values) or (None in values and any(value is not None for value in values)):
            raise UserError(f"an edge has no attribute {name}: give every edge one, or use edge_weight=none")
        arrays["edge_weight"] = None if None in values or not values else np.array(values)
    return arrays


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(name, str) for name in value)
    )


def _attribute(graph: Any, name: str, what: str) -> list[Any]:
    values = [attributes.get(name) for _, attributes in graph.nodes(data=True)]
    if what == "x" or all(value is None for value in values):
        for node, value in zip(graph.nodes, values, strict=True):
            if value is None:
                known = sorted({key for _, attributes in graph.nodes(data=True) for key in map(str, attributes)})
                raise UserError(
                    f"node {node} has no attribute {name}: {what} must name one that all nodes have, or be an array"
                    f" (nodes have {', '.join(known) or 'none'})"
                )
    return values

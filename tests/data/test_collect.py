"""Lists of PyG graphs become a collection; errors name the invalid graph."""

from typing import Any

import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.datasets import FakeDataset

from depthlab.config.errors import UserError
from depthlab.data.collect import collect

EDGES = torch.tensor([[0, 1], [1, 2]])


def graphs(count: int = 9, **changes: Any) -> list[Data]:
    """Paths of three nodes; the last one has the changes."""
    made = [Data(x=torch.rand(3, 2), edge_index=EDGES, y=torch.tensor([number % 3])) for number in range(count)]
    for name, value in changes.items():
        made[-1][name] = value
    return made


def test_graphs_are_concatenated() -> None:
    seed_everything(0)  # with another seed a class may have no graph
    given = list(FakeDataset(num_graphs=12, avg_num_nodes=8, num_classes=3, edge_dim=0))
    made = collect(given)
    assert made.num_graphs == 12 and made.y.tolist() == [int(graph.y) for graph in given]
    for number, graph in enumerate(given):
        first, last = made.ptr[number : number + 2].tolist()
        assert torch.equal(made.x[first:last], graph.x)
        edges = made.edge_index[:, (made.edge_index[0] >= first) & (made.edge_index[0] < last)] - first
        both = torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1).unique(dim=1)
        assert torch.equal(edges, both[:, both[0] != both[1]])


def test_directed_edges_are_kept_on_request() -> None:
    assert torch.equal(collect(graphs(), directed=True).edge_index[:, :2], EDGES)
    assert collect(graphs()).edge_index.shape[1] == 2 * collect(graphs(), directed=True).edge_index.shape[1]


def test_a_dict_of_lists_is_a_fixed_split() -> None:
    given = graphs()
    made = collect({"test": given[7:], "train": given[:5], "val": given[5:7]})
    assert [part.tolist() for part in made.parts("0")] == [[0, 1, 2, 3, 4], [5, 6], [7, 8]]
    with pytest.raises(UserError, match=r"^the parts must be named train, val and test, got train$"):
        collect({"train": given})


@pytest.mark.parametrize("masks", [True, False])
def test_parts_by_numbers_and_by_masks(masks: bool) -> None:
    parts = {name: torch.arange(start, 9, 3) for start, name in enumerate(("train", "val", "test"))}
    given: Any = (
        {name: torch.zeros(9).index_fill(0, part, 1).bool() for name, part in parts.items()} if masks else parts
    )
    assert all(
        torch.equal(found, part)
        for found, part in zip(collect(graphs(), **given).parts("0"), parts.values(), strict=True)
    )


def test_targets_of_nodes_and_numbers_and_names() -> None:
    nodes = [Data(x=torch.rand(3, 2), edge_index=EDGES, y=torch.tensor([0, 1, 2])) for _ in range(4)]
    assert collect(nodes).y.shape == (12,) and collect(nodes).has_node_targets
    numbers = graphs()
    for graph in numbers:
        graph.y = torch.rand(1, 1, dtype=torch.float64)
    assert collect(numbers).y.dtype == torch.float32 and collect(numbers).y.shape == (9,)
    assert collect(graphs(), class_names=["a", "b", "c"]).class_names == ["a", "b", "c"]
    assert collect(graphs(), task="regression").y.dtype == torch.float32


NAN = torch.tensor([[0.0, 0.0], [torch.nan, 0.0], [0.0, 0.0]])
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"x": torch.empty(0, 2)}, "graph 8 has no nodes: leave it out"),
    ({"x": None}, "graph 8 has no x, the features of shape (nodes, features): for nodes without features use"),
    ({"y": None}, "graph 8 has no y, the target of the graph or of each node"),
    ({"edge_index": None}, "graph 8 has no edge_index, the edges of shape (2, edges): for a graph without edges use"),
    ({"x": torch.rand(3, 5)}, "graph 8 has 5 features per node, but graph 0 has 2: all graphs need the same number"),
    ({"x": torch.rand(3)}, "x of graph 8 must have shape (nodes, features), got (3,)"),
    ({"x": NAN}, "x of graph 8 must hold finite numbers, got NaN or infinity in row 1"),
    ({"edge_index": EDGES.T[:1]}, "edge_index of graph 8 must hold integers of shape (2, edges), got (1, 2)"),
    ({"edge_index": EDGES + 1}, "edge_index of graph 8 must hold nodes 0 to 2, got 1 to 3"),
    (
        {"edge_attr": torch.rand(2, 4)},
        "graph 8: edge attribute edge_attr of shape (2, 4) is not used",
    ),
    ({"y": torch.tensor([0, 1])}, "y of graph 8 has shape (2,): give every graph one target, or each of its 3 nodes"),
    ({"y": torch.tensor([[0, 1]])}, "y must hold one target for each graph, got 2: choose a column, graph.y[:, 0]"),
    ({"y": torch.tensor([4])}, "y has class 4 but no class 3: number classes from 0 without gaps"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_errors_name_the_invalid_graph(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        collect(graphs(**changes))
    assert str(error.value).startswith(sentence)


def test_edge_attributes_need_a_setting() -> None:
    assert collect(graphs(edge_attr=torch.rand(2, 4)), edge_weight="none").edge_weight is None
    weighted = graphs()
    for number, graph in enumerate(weighted):
        graph.edge_attr = torch.full((2, 1), number + 1.0)
    found = collect(weighted, edge_weight="edge_attr").edge_weight
    assert found is not None and found.tolist() == [number + 1.0 for number in range(9) for _ in range(4)]
    with pytest.raises(UserError, match=r"^some graphs have edge weights and others do not: "):
        collect(graphs(edge_weight=torch.ones(2)))
    weighted[3].edge_attr = -weighted[3].edge_attr
    with pytest.raises(UserError, match=r"^the edge weights of graph 3 must be finite numbers of at least 0"):
        collect(weighted, edge_weight="edge_attr")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (([0, 1], [2], []), "test is empty: every part of a split needs a graph"),
        (([0, 1], [1], [2]), "train, val and test share graphs: a graph may be in one part of a split only"),
        (([0, 1], [2], [9]), "test must hold graph indices from 0 to 8, got 9 to 9"),
        (([True], [2], [3]), "train must be a mask of shape (9,) or graph indices, got (1,)"),
    ],
)
def test_invalid_parts(parts: tuple[Any, Any, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        collect(graphs(), **dict(zip(("train", "val", "test"), parts, strict=True)))
    assert str(error.value) == sentence


def test_a_part_with_a_graph_without_a_target() -> None:
    parts: dict[str, Any] = {"train": range(6), "val": [6, 7], "test": [8]}
    collect(graphs(10, y=torch.tensor([-1])), **parts)
    nodes = [Data(x=torch.rand(3, 2), edge_index=EDGES, y=torch.tensor([0, 1, -(n == 8)])) for n in range(9)]
    collect(nodes, **parts)
    nodes[8].y[:] = -1
    numbers = graphs(9, y=torch.tensor([torch.nan]))
    for given in (graphs(9, y=torch.tensor([-1])), nodes, numbers):
        with pytest.raises(
            UserError, match=r"^test has graphs without a target, the first is graph 8: leave them out$"
        ):
            collect(given, **parts, task="regression" if given is numbers else None)


def test_a_dict_with_an_empty_part() -> None:
    lists = {"train": graphs(), "val": list[Data](), "test": graphs()}
    with pytest.raises(UserError, match=r"^val is empty: every part of a split needs a graph$"):
        collect(lists)


def test_data_without_anything_to_learn() -> None:
    with pytest.raises(UserError, match=r"^there is no graph: the list is empty$"):
        collect([])
    with pytest.raises(UserError, match=r"^y must hold two or more classes, got 1: there is nothing to classify$"):
        collect(graphs(1))
    halves = graphs()
    halves[0].y = torch.tensor([0.5])
    with pytest.raises(
        UserError, match=r"^y must hold whole numbers as classes: for a regression .*, in Python task='"
    ):
        collect(halves, task="classification")

import pytest
import torch
from torch import Tensor

from depthlab.measures import curvature
from depthlab.measures.curvature import balanced_forman
from tests.measures.conftest import barbell, binary_tree, clique, cycle, path, random_graph, star, undirected


def reference(edge_index: Tensor, n: int) -> Tensor:
    """Definition 1 of the paper, word by word, on sets."""
    near: list[set[int]] = [set() for _ in range(n)]
    for i, j in edge_index.T.tolist():
        near[i].add(j)
    values = []
    for i, j in edge_index.T.tolist():
        low, high = sorted((len(near[i]), len(near[j])))
        triangles = len(near[i] & near[j])
        at_i, at_j = near[i] - near[j] - {j}, near[j] - near[i] - {i}
        of_i, of_j = [len(near[k] & at_j) for k in at_i], [len(near[w] & at_i) for w in at_j]
        squares = sum(map(bool, of_i)) + sum(map(bool, of_j))
        last = squares / max(of_i + of_j) / high if squares else 0
        values.append(2 / low + 2 / high - 2 + 2 * triangles / high + triangles / low + last if low > 1 else 0.0)
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("chunk", [1, 40, 1 << 22])
@pytest.mark.parametrize("p", [0.15, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("n", [6, 13, 20])
def test_equality_with_the_definition(n: int, p: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "CHUNK", chunk)
    for seed in range(4):
        edge_index = random_graph(n, p, seed)
        torch.testing.assert_close(balanced_forman(edge_index, n), reference(edge_index, n), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(3, 3 / 2), (4, 1.0), (5, 0.0), (6, 0.0), (9, 0.0)])
def test_cycles(n: int, expected: float) -> None:
    assert balanced_forman(cycle(n), n).tolist() == pytest.approx([expected] * 2 * n)


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_cliques(n: int) -> None:
    assert balanced_forman(clique(n), n).tolist() == pytest.approx([n / (n - 1)] * n * (n - 1))


@pytest.mark.parametrize("edge_index", [path(6), star(5), binary_tree(15)])
def test_trees(edge_index: Tensor) -> None:
    degree = torch.bincount(edge_index[0]).double()[edge_index]
    expected = torch.where(degree.amin(0) == 1, 0.0, 2 / degree[0] + 2 / degree[1] - 2)
    torch.testing.assert_close(balanced_forman(edge_index, int(edge_index.max()) + 1), expected)


def test_the_bridge_of_a_barbell_is_the_narrowest() -> None:
    values = balanced_forman(barbell(5), 10)
    assert values[:2].tolist() == pytest.approx([2 / 5 + 2 / 5 - 2] * 2)
    assert values[2:].min() > 0.5


def test_a_complete_bipartite_graph_counts_cycles_by_node() -> None:
    edge_index = undirected(
        *((i, 3 + j) for i in range(3) for j in range(4))
    )  # of an edge: 3 x 2 cycles, up to 3 a node
    assert balanced_forman(edge_index, 7).tolist() == pytest.approx([2 / 3 + 2 / 4 - 2 + (2 + 3) / (3 * 4)] * 24)


def test_a_diagonal_spoils_a_square() -> None:
    square = undirected((0, 1), (1, 2), (2, 3), (3, 0), (0, 2))
    assert balanced_forman(square, 4)[0] == pytest.approx(2 / 3 + 2 / 2 - 2 + 2 / 3 + 1 / 2)


def test_both_directions_have_one_value() -> None:
    edge_index = random_graph(20, 0.3)
    found = {
        tuple(pair): value for pair, value in zip(edge_index.T.tolist(), balanced_forman(edge_index, 20), strict=True)
    }
    assert all(found[j, i] == value for (i, j), value in found.items())
    assert len({float(value) for value in found.values()}) > 10


def test_relabelling_changes_nothing() -> None:
    edge_index, new = random_graph(20, 0.3), torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(balanced_forman(new[edge_index], 20), balanced_forman(edge_index, 20), rtol=0, atol=0)


def test_components_do_not_touch() -> None:
    both = torch.cat([cycle(4), clique(5) + 4], dim=1)
    assert balanced_forman(both, 12).tolist() == pytest.approx([1.0] * 8 + [5 / 4] * 20)


def test_no_edges() -> None:
    values = balanced_forman(torch.empty(2, 0, dtype=torch.long), 4)
    assert values.shape == (0,) and values.dtype == torch.float64


def test_edges_are_left_as_they_are() -> None:
    edge_index = random_graph(12, 0.4)
    before = edge_index.clone()
    balanced_forman(edge_index, 12)
    assert torch.equal(edge_index, before)


@pytest.mark.parametrize(
    "edges", [[[0, 1], [1, 2]], [[0, 1, 1], [1, 0, 1]], [[0, 1, 0, 1], [1, 0, 1, 0]], [[0, 1, 0, 2], [1, 2, 2, 0]]]
)
def test_an_edge_set_that_is_not_undirected_is_refused(edges: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="both directions of every undirected edge once"):
        balanced_forman(torch.tensor(edges), 3)

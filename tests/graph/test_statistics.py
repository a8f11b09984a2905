import math
import tracemalloc

import pytest
import torch
from torch import Tensor

from depthlab.graph import statistics
from depthlab.graph.statistics import (
    adjusted_homophily,
    bottleneck_ratio,
    edge_homophily,
    graph_statistics,
    receptive_field,
    topology,
)
from tests.measures.conftest import cycle, path, star, undirected


def numbers(edge_index: Tensor, y: list[int]) -> dict[str, float]:
    result = graph_statistics(torch.eye(len(y)), edge_index, torch.tensor(y))
    return {name: value for name, value in result.items() if not isinstance(value, dict)}


@pytest.mark.parametrize(
    ("edge_index", "y", "edge", "adjusted"),
    [
        (path(3), [0, 0, 1], 1 / 2, -1 / 3),
        (undirected((0, 1), (2, 3)), [0, 0, 1, 1], 1.0, 1.0),
        (undirected((0, 2), (0, 3), (1, 2), (1, 3)), [0, 0, 1, 1], 0.0, -1.0),
        (cycle(4), [0, 0, 1, 1], 1 / 2, 0.0),
        (star(3), [0, 0, 1, 1], 1 / 3, (1 / 3 - 5 / 9) / (4 / 9)),
        (cycle(3), [0, 1, 2], 0.0, -1 / 2),
    ],
)
def test_homophily_by_hand(edge_index: Tensor, y: list[int], edge: float, adjusted: float) -> None:
    result = numbers(edge_index, y)
    assert result["edge_homophily"] == pytest.approx(edge, abs=1e-7)
    assert result["adjusted_homophily"] == pytest.approx(adjusted, abs=1e-12)


def test_adjusted_homophily_against_a_sum_over_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = {tuple(sorted(pair)) for pair in torch.randint(0, 20, (60, 2), generator=generator).tolist()}
    edges = [(a, b) for a, b in pairs if a != b]
    y = torch.randint(0, 4, (20,), generator=generator)
    degree = [sum(i in edge for edge in edges) for i in range(20)]
    same = sum(int(y[a]) == int(y[b]) for a, b in edges) / len(edges)
    by_class = [sum(degree[i] for i in range(20) if int(y[i]) == k) for k in range(4)]
    chance = sum((d / (2 * len(edges))) ** 2 for d in by_class)
    expected = (same - chance) / (1 - chance)
    assert adjusted_homophily(undirected(*edges), y) == pytest.approx(expected, rel=1e-12)
    assert numbers(undirected(*edges), y.tolist())["edge_homophily"] == pytest.approx(same, rel=1e-6)


def test_adjusted_homophily_of_one_class_or_no_edge_is_not_a_number() -> None:
    assert math.isnan(adjusted_homophily(path(3), torch.zeros(3, dtype=torch.long)))
    assert math.isnan(adjusted_homophily(torch.empty(2, 0, dtype=torch.long), torch.tensor([0, 1])))


def test_unlabelled_nodes_do_not_count_for_homophily() -> None:
    labelled, whole = path(3), torch.cat([path(3), undirected((2, 3), (3, 4))], dim=1)
    with_unlabelled, without = numbers(whole, [0, 0, 1, -1, -1]), numbers(labelled, [0, 0, 1])
    for name in ("edge_homophily", "adjusted_homophily", "classes"):
        assert with_unlabelled[name] == without[name]
    assert with_unlabelled["nodes"] == 5 and with_unlabelled["edges"] == 4


@pytest.mark.parametrize("n", [2, 7, 12])
def test_receptive_field_of_a_path(n: int) -> None:
    expected = [sum(abs(i - j) <= k for i in range(n) for j in range(n)) / n for k in range(1, 11)]
    assert receptive_field(path(n), n) == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 8, 25])
def test_receptive_field_of_a_cycle(n: int) -> None:
    assert receptive_field(cycle(n), n, hops=6) == [min(2 * k + 1, n) for k in range(1, 7)]


@pytest.mark.parametrize("leaves", [1, 4, 9])
def test_receptive_field_of_a_star(leaves: int) -> None:
    n = leaves + 1
    assert receptive_field(star(leaves), n, hops=3) == pytest.approx([(n + 2 * leaves) / n, n, n])


def test_bottleneck_ratio_counts_nodes_by_channel() -> None:
    assert bottleneck_ratio(cycle(9), 9, 4, 5) == [1 / 4, 3 / 4, 5 / 4, 7 / 4, 9 / 4, 9 / 4]
    assert bottleneck_ratio(star(4), 5, 2, 0) == [1 / 2]


def test_receptive_fields_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index = torch.cat([cycle(20), 20 + star(9)], dim=1)
    whole = receptive_field(edge_index, 30)
    for entries in (1, 100, 899):
        monkeypatch.setattr(statistics, "ENTRIES", entries)
        assert receptive_field(edge_index, 30) == whole


def test_receptive_fields_of_a_large_graph_take_little_memory() -> None:
    ring = cycle(50_000)
    tracemalloc.start()
    receptive_field(ring, 50_000, hops=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # all 1,024 starts at once: 600 MB


def test_an_isolated_node_sees_itself() -> None:
    assert receptive_field(torch.empty(2, 0, dtype=torch.long), 3, hops=2) == [1.0, 1.0]
    assert receptive_field(path(2), 3, hops=2) == pytest.approx([5 / 3, 5 / 3])


def test_large_graphs_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    two_kinds = torch.cat([cycle(20), 20 + star(9)], dim=1)
    exact = receptive_field(two_kinds, 30)
    monkeypatch.setattr(statistics, "EXACT", 10)
    monkeypatch.setattr(statistics, "SAMPLE", 6)
    assert receptive_field(cycle(20), 20, hops=3) == [3.0, 5.0, 7.0]
    sampled = receptive_field(two_kinds, 30)
    assert sampled == receptive_field(two_kinds, 30) and sampled != exact
    assert all((value * 6) % 1 == pytest.approx(0, abs=1e-9) for value in sampled)
    monkeypatch.setattr(statistics, "SAMPLE", 30)
    assert receptive_field(two_kinds, 30) == pytest.approx(exact)


def test_everything_that_is_counted() -> None:
    x = torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    result = graph_statistics(x, path(3), torch.tensor([0, 2, 1, 0]))
    assert (result["nodes"], result["edges"], result["classes"], result["features"]) == (4, 2, 3, 4)
    assert result["feature_density"] == 3 / 16
    assert result["connected_components"] == 2
    field = result["receptive_field"]
    assert isinstance(field, dict) and list(field) == [str(k) for k in range(1, 11)]
    assert list(field.values()) == receptive_field(path(3), 4)


@pytest.mark.parametrize(
    ("edge_index", "n", "components"),
    [(cycle(6), 6, 1), (undirected((0, 1), (2, 3)), 4, 2), (undirected((0, 1)), 5, 4)],
)
def test_components(edge_index: Tensor, n: int, components: int) -> None:
    assert numbers(edge_index, [0, 1] * (n // 2) + [0] * (n % 2))["connected_components"] == components


def test_edges_at_nodes_without_a_class_do_not_count_for_homophily() -> None:
    y = torch.tensor([0, 0, 1, -1])
    assert edge_homophily(path(4), y) == edge_homophily(path(3), y[:3]) == 1 / 2


def test_a_directed_edge_counts_once_and_in_one_direction() -> None:
    up = torch.tensor([[1, 2, 3], [0, 0, 1]])
    found = topology(up, 5)
    assert (found["nodes"], found["edges"], found["connected_components"]) == (5, 3, 2)
    field = found["receptive_field"]
    assert isinstance(field, dict)
    assert (field["1"], field["2"]) == pytest.approx((8 / 5, 9 / 5))
    assert topology(undirected((0, 1), (1, 2)), 3)["edges"] == 2


def test_the_receptive_field_of_a_large_graph_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.graph.statistics.LARGE", 2)
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    shape = topology(edges, 3)
    assert shape["receptive_field"] == {"skipped": "3 nodes, more than 2"}
    assert (shape["edges"], shape["connected_components"]) == (2, 1)

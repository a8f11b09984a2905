import math

import pytest
import torch
from torch import Tensor

from depthlab.measures import laplacian, resistance
from depthlab.measures.resistance import effective_resistance, mean_resistance
from tests.measures.conftest import barbell, binary_tree, clique, cycle, path, random_graph, star, undirected

NO_EDGES = torch.empty(2, 0, dtype=torch.long)


def pairs(n: int) -> Tensor:
    """All ordered pairs, (2, n^2)."""
    return torch.cartesian_prod(torch.arange(n), torch.arange(n)).T


def adjacency(edge_index: Tensor, n: int) -> Tensor:
    return torch.zeros(n, n, dtype=torch.float64).index_put(tuple(edge_index), torch.tensor(1.0, dtype=torch.float64))


def reference(edge_index: Tensor, n: int) -> Tensor:
    """By the pseudo-inverse of the whole Laplacian, (n, n); infinite where no power of I + A joins two nodes."""
    a = adjacency(edge_index, n)
    inverse = torch.linalg.pinv(a.sum(1).diag() - a, rtol=1e-10, hermitian=True)
    values = inverse.diagonal()[:, None] + inverse.diagonal() - 2 * inverse
    joined = torch.linalg.matrix_power((a + torch.eye(n) > 0).double(), n) > 0
    return torch.where(joined, values, math.inf)


@pytest.fixture(params=["dense", "factored", "iterated"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the three ways in which resistances are computed."""
    if request.param != "dense":
        monkeypatch.setattr(resistance, "EXACT", 1)
    if request.param == "iterated":
        monkeypatch.setattr(laplacian, "FACTORED", -1)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("p", [0.08, 0.2, 0.6])
def test_equality_with_the_pseudo_inverse(p: float) -> None:
    for seed in range(3):
        edge_index = random_graph(12, p, seed)
        found = effective_resistance(edge_index, 12, pairs(12), error=0.05).view(12, 12)
        torch.testing.assert_close(found, reference(edge_index, 12), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("way")
def test_closed_forms() -> None:
    i, j = pairs(9)
    hops = (i - j).abs().double()
    for edge_index, expected in (
        (path(9), hops),
        (cycle(9), hops * (9 - hops) / 9),
        (clique(9), torch.where(i == j, 0, 2 / 9).double()),
        (star(8), (i != j) * (1.0 + ((i != 0) & (j != 0)))),
    ):
        found = effective_resistance(edge_index, 9, pairs(9), error=0.1)
        torch.testing.assert_close(found, expected.double(), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("way")
def test_through_a_tree_it_is_the_distance_and_a_bridge_counts_fully() -> None:
    ends = torch.tensor([[7, 7, 0], [14, 8, 13]])
    assert effective_resistance(binary_tree(15), 15, ends).tolist() == pytest.approx([6, 2, 3])
    across = effective_resistance(barbell(6), 12, torch.tensor([[5, 0, 0], [6, 11, 1]]))
    assert across.tolist() == pytest.approx([1, 1 + 4 / 6, 2 / 6])


@pytest.mark.parametrize("edge_index", [cycle(60), random_graph(60, 0.2)])
def test_the_sketch_has_the_error_that_was_asked_for(edge_index: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = effective_resistance(edge_index, 60, pairs(60))
    monkeypatch.setattr(resistance, "EXACT", 1)
    other = pairs(60)[0] != pairs(60)[1]
    ratios = []
    for seed in range(20):
        found = effective_resistance(edge_index, 60, pairs(60), error=0.2, seed=seed)
        assert (found[~other] == 0).all()
        ratios.append(found[other] / exact[other])
    ratio = torch.stack(ratios)  # a chi-squared variable of 50 degrees of freedom over 50: mean 1, deviation 0.2
    assert float(ratio.mean()) == pytest.approx(1, abs=0.05)
    assert float((ratio - 1).square().mean().sqrt()) == pytest.approx(0.2, abs=0.03)


def test_the_sketch_follows_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resistance, "EXACT", 1)
    one, same, other = (effective_resistance(cycle(30), 30, pairs(30), 0.3, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.allclose(one, other)


@pytest.mark.usefixtures("way")
def test_relabelling_changes_nothing() -> None:
    edge_index, new = random_graph(14, 0.3), torch.randperm(14, generator=torch.Generator().manual_seed(1))
    here, there = pairs(14)[:, :100], new[pairs(14)[:, :100]]
    found = effective_resistance(new[edge_index], 14, there)
    torch.testing.assert_close(found, effective_resistance(edge_index, 14, here), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("edge_index", [random_graph(25, 0.08), random_graph(25, 0.4), binary_tree(25), barbell(12)])
def test_mean_over_edges_is_that_of_all_edges(edge_index: Tensor) -> None:
    exact = reference(edge_index, 25)[tuple(edge_index)].mean()
    assert mean_resistance(edge_index, 25).edges == pytest.approx(float(exact), rel=1e-9)


def test_mean_over_pairs_is_that_of_the_largest_component(monkeypatch: pytest.MonkeyPatch) -> None:
    both = torch.cat([random_graph(30, 0.3), cycle(5) + 30], dim=1)
    values = reference(both, 35)[:30, :30]
    exact = float(values.sum()) / (30 * 29)
    found = mean_resistance(both, 35)
    assert found.pairs == pytest.approx(exact, rel=1e-9)
    assert found.deviation == 0 and found.how == "edges by Foster's theorem, all pairs by a dense inverse"
    monkeypatch.setattr(resistance, "EXACT", 1)
    monkeypatch.setattr(resistance, "PAIRS", 2000)
    sampled = mean_resistance(both, 35)
    assert sampled.edges == found.edges
    deviation = float(values[values > 0].std()) / 2000**0.5
    assert sampled.deviation == pytest.approx(deviation, rel=0.1)
    assert sampled.pairs == pytest.approx(exact, abs=4 * deviation) and sampled.pairs != found.pairs
    assert sampled.how == "edges by Foster's theorem, 2000 drawn pairs by sparse systems"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_edges(n: int) -> None:
    found = mean_resistance(NO_EDGES, n)
    assert math.isnan(found.edges) and math.isnan(found.pairs) and found.deviation == 0
    assert effective_resistance(NO_EDGES, n, pairs(n)).tolist() == [0 if i == j else math.inf for i, j in pairs(n).T]
    assert effective_resistance(path(3), 3, NO_EDGES).shape == (0,)


def test_inputs_are_left_as_they_are() -> None:
    edge_index, ends = random_graph(12, 0.4), undirected((0, 5), (3, 3))
    before = edge_index.clone(), ends.clone()
    effective_resistance(edge_index, 12, ends)
    mean_resistance(edge_index, 12)
    assert torch.equal(edge_index, before[0]) and torch.equal(ends, before[1])

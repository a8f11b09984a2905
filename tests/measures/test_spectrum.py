import math

import pytest
import torch
from torch import Tensor

from depthlab.measures import laplacian, spectrum
from depthlab.measures.laplacian import ConvergenceError
from depthlab.measures.spectrum import largest_component_gap, spectral_gap
from tests.measures.conftest import barbell, binary_tree, clique, cycle, path, random_graph, star, undirected

NO_EDGES = torch.empty(2, 0, dtype=torch.long)


def reference(edge_index: Tensor, n: int) -> float:
    a = torch.zeros(n, n, dtype=torch.float64).index_put(tuple(edge_index), torch.tensor(1.0, dtype=torch.float64))
    root = a.sum(1).sqrt()
    return float(torch.linalg.eigvalsh(torch.eye(n) - a / root / root[:, None])[1])


@pytest.fixture(params=["dense", "inverse", "lanczos"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three ways in which the gap is computed."""
    if request.param != "dense":
        monkeypatch.setattr(spectrum, "DENSE", 0)
    if request.param == "lanczos":
        monkeypatch.setattr(laplacian, "FACTORED", -1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("n", [45, 60])
def test_closed_forms(n: int) -> None:
    assert spectral_gap(clique(n), n) == pytest.approx(n / (n - 1), abs=1e-7)
    assert spectral_gap(cycle(n), n) == pytest.approx(1 - math.cos(2 * math.pi / n), abs=1e-7)
    assert spectral_gap(path(n), n) == pytest.approx(1 - math.cos(math.pi / (n - 1)), abs=1e-7)
    assert spectral_gap(star(n - 1), n) == pytest.approx(1, abs=1e-7)
    bipartite = undirected(*((i, 20 + j) for i in range(20) for j in range(n - 20)))
    assert spectral_gap(bipartite, n) == pytest.approx(1, abs=1e-7)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("edge_index", [barbell(25), binary_tree(50), random_graph(50, 0.2), random_graph(50, 0.6)])
def test_equality_with_the_dense_spectrum(edge_index: Tensor) -> None:
    expected = reference(edge_index, 50)
    assert expected > 1e-4
    assert spectral_gap(edge_index, 50) == pytest.approx(expected, abs=1e-7)
    new = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert spectral_gap(new[edge_index], 50) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_small_cliques(n: int) -> None:
    assert spectral_gap(clique(n), n) == pytest.approx(n / (n - 1))


def test_a_long_path_keeps_its_digits() -> None:
    assert spectral_gap(path(20_000), 20_000) == pytest.approx(1 - math.cos(math.pi / 19_999), rel=1e-6)


@pytest.mark.usefixtures("way")
def test_a_disconnected_graph_has_none_and_its_largest_component_its_own() -> None:
    both = torch.cat([random_graph(50, 0.3), cycle(40) + 50], dim=1)
    assert spectral_gap(both, 90) == spectral_gap(cycle(50), 51) == 0
    assert largest_component_gap(both, 90) == pytest.approx(reference(random_graph(50, 0.3), 50), abs=1e-7)
    assert largest_component_gap(both.flip(1), 95) == pytest.approx(largest_component_gap(both, 90), abs=1e-7)


def test_no_edges() -> None:
    assert spectral_gap(NO_EDGES, 3) == 0
    assert all(math.isnan(spectral_gap(NO_EDGES, n)) for n in (0, 1))
    assert all(math.isnan(largest_component_gap(NO_EDGES, n)) for n in (0, 1, 3))


def test_what_does_not_settle_says_so_with_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DENSE": 0, "VECTORS": 3, "RESTARTS": 1}.items():
        monkeypatch.setattr(spectrum, name, value)
    monkeypatch.setattr(laplacian, "FACTORED", -1)
    with pytest.raises(ConvergenceError, match=r"did not settle in 3 steps .* on 300 nodes: it is at most") as error:
        spectral_gap(cycle(300), 300)
    assert 1 - math.cos(2 * math.pi / 300) <= float(str(error.value).rsplit(" ", 1)[1]) * 1.05 < 0.1


def test_edges_are_left_as_they_are() -> None:
    edge_index = random_graph(12, 0.4)
    before = edge_index.clone()
    spectral_gap(edge_index, 12)
    assert torch.equal(edge_index, before)

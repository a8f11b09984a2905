import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from depthlab.measures import smoothness
from depthlab.measures.smoothness import (
    dirichlet_energy,
    dirichlet_energy_normalized,
    log10_dirichlet_energy,
    mean_average_distance,
    rayleigh_quotient,
)
from tests.measures.conftest import star, undirected

Function = Callable[[Tensor, Tensor], float]
N = 12
ALL = [dirichlet_energy, dirichlet_energy_normalized, rayleigh_quotient, mean_average_distance]
NO_EDGES = torch.empty(2, 0, dtype=torch.long)
EDGE = torch.tensor([[0, 1], [1, 0]])


def edges(seed: int = 0) -> Tensor:
    """A cycle with random chords: connected, of unequal degrees, with odd cycles."""
    chords = torch.randint(0, N, (2, 8), generator=torch.Generator().manual_seed(seed))
    chords = chords[:, chords[0] != chords[1]]
    around = torch.stack([torch.arange(N), (torch.arange(N) + 1) % N])
    one_way = torch.cat([around, chords, torch.tensor([[0], [2]])], dim=1)
    return torch.cat([one_way, one_way.flip(0)], dim=1).unique(dim=1)


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(edge_index: Tensor, n: int = N) -> Tensor:
    return torch.zeros(n, n, dtype=torch.float64).index_put(tuple(edge_index), torch.tensor(1.0, dtype=torch.float64))


def propagation(edge_index: Tensor, n: int = N) -> Tensor:
    a = dense(edge_index, n) + torch.eye(n)
    root = a.sum(1).sqrt()
    return a / root[:, None] / root


def trace(x: Tensor, laplacian: Tensor) -> float:
    return float(torch.trace(x.T @ laplacian @ x))


@pytest.mark.parametrize("seed", range(3))
def test_energies_equal_the_dense_traces(seed: int) -> None:
    edge_index, x = edges(seed), states(N, 5, seed=seed)
    a = dense(edge_index)
    assert dirichlet_energy(x, edge_index) == pytest.approx(2 * trace(x, a.sum(1).diag() - a) / N, rel=1e-12)
    normalized = trace(x, torch.eye(N) - propagation(edge_index))
    assert dirichlet_energy_normalized(x, edge_index) == pytest.approx(normalized, rel=1e-12)
    assert rayleigh_quotient(x, edge_index) == pytest.approx(normalized / float((x**2).sum()), rel=1e-12)


def test_values_by_hand() -> None:
    x, edge_index = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    assert dirichlet_energy(x, edge_index) == pytest.approx(50 / 3)
    assert dirichlet_energy_normalized(x, edge_index) == pytest.approx(25 / 3 + 25 * (3**-0.5 - 2**-0.5) ** 2)


def test_energy_vanishes_where_every_component_is_constant() -> None:
    halves = torch.cat([edges(), edges(1) + N], dim=1)
    x = states(2, 4).repeat_interleave(N, dim=0)
    assert dirichlet_energy(x, halves) == 0
    assert dirichlet_energy_normalized(x, halves) > 0.01
    scaled = x * (1 + torch.bincount(halves[0])).double().sqrt().unsqueeze(1)
    assert dirichlet_energy_normalized(scaled, halves) == pytest.approx(0, abs=1e-28)
    assert rayleigh_quotient(scaled, halves) == pytest.approx(0, abs=1e-28)
    assert dirichlet_energy(scaled, halves) > 0.01


@pytest.mark.parametrize("measure", ALL)
def test_relabelling_the_nodes_changes_nothing(measure: Function) -> None:
    edge_index, x = edges(), states(N, 5)
    new = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    relabelled = torch.empty_like(x).index_copy(0, new, x)
    shuffled = new[edge_index][:, torch.randperm(edge_index.shape[1], generator=torch.Generator().manual_seed(4))]
    assert measure(relabelled, shuffled) == pytest.approx(measure(x, edge_index), rel=1e-12)
    assert measure(x, new[edge_index]) != pytest.approx(measure(x, edge_index), rel=1e-6)


@pytest.mark.parametrize("measure", ALL)
def test_chunks_add_up(measure: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, x = edges(), states(N, 5)
    whole = measure(x, edge_index)
    for chunk in (1, 5, 17, 40):
        monkeypatch.setattr(smoothness, "CHUNK", chunk)
        assert measure(x, edge_index) == pytest.approx(whole, rel=1e-13)


@pytest.mark.parametrize("measure", [dirichlet_energy, dirichlet_energy_normalized, rayleigh_quotient])
def test_a_sum_over_no_edges_is_zero(measure: Function) -> None:
    assert measure(states(N, 5), NO_EDGES) == 0


def test_a_mean_over_no_edges_is_undefined() -> None:
    assert math.isnan(mean_average_distance(states(N, 5), NO_EDGES))


@pytest.mark.parametrize("measure", ALL)
def test_other_edges_than_those_of_an_undirected_graph_are_refused(measure: Function) -> None:
    edge_index, x = edges(), states(N, 5)
    upper = edge_index[:, edge_index[0] < edge_index[1]]
    loops = torch.tensor([[3], [3]])
    for wrong, given in {
        f"{upper.shape[1]} edges without their reverse": upper,
        "1 self-loops and 0 repetitions": torch.cat([edge_index, loops], 1),
        "0 self-loops and 2 repetitions": torch.cat([edge_index, edge_index[:, :1], edge_index[:, :1].flip(0)], 1),
        f"nodes from 0 to {N - 1}": edge_index + 1,
    }.items():
        with pytest.raises(ValueError, match=wrong):
            measure(x, given)
    measure(x, edge_index)
    edge_index[0, 0] = edge_index[1, 0]  # edges that have passed and are changed are checked again
    with pytest.raises(ValueError, match="1 self-loops"):
        measure(x, edge_index)


def test_propagation_smooths_at_every_step() -> None:
    p, x = propagation(edges()), states(N, 5)
    curve = [dirichlet_energy_normalized(x := p @ x, edges()) for _ in range(60)]
    assert all(b < a for a, b in pairwise(curve))
    assert curve[-1] < 1e-4 * curve[0]


def test_propagation_on_a_regular_graph_lowers_the_plain_energy_too() -> None:
    around = torch.stack([torch.arange(9), (torch.arange(9) + 1) % 9])
    edge_index = torch.cat([around, around.flip(0)], dim=1)
    p, x = propagation(edge_index, 9), states(9, 5)
    curve = [dirichlet_energy(x := p @ x, edge_index) for _ in range(60)]
    assert all(b < a for a, b in pairwise(curve))
    assert curve[-1] < 1e-8 * curve[0]


@pytest.mark.parametrize("seed", range(5))
def test_rayleigh_quotient_lies_in_its_range_whatever_the_scale(seed: int) -> None:
    x = states(N, 3, seed=seed)
    value = rayleigh_quotient(x, edges(seed))
    assert 0 < value < 2
    for scale in (1e-30, -3.0, 1e30):
        assert rayleigh_quotient(scale * x, edges(seed)) == pytest.approx(value, rel=1e-12)


def test_rayleigh_quotient_at_eigenvectors() -> None:
    values, vectors = torch.linalg.eigh(torch.eye(N) - propagation(edges()))
    found = [rayleigh_quotient(vectors[:, k : k + 1], edges()) for k in range(N)]
    assert found == pytest.approx(values.tolist(), abs=1e-14)
    assert rayleigh_quotient(torch.tensor([[1.0], [-1.0]]), EDGE) == pytest.approx(1)
    assert math.isnan(rayleigh_quotient(torch.zeros(2, 3), EDGE))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([1, 0], [5, 0], 0), ([1, 0], [0, 2], 1), ([1, 1], [-2, -2], 2), ([1, 0], [1, 1], 1 - 0.5**0.5)],
)
def test_mean_average_distance_of_a_pair(a: list[float], b: list[float], expected: float) -> None:
    assert mean_average_distance(torch.tensor([a, b]).float(), EDGE) == pytest.approx(expected, abs=1e-15)


def circle(*degrees: float) -> Tensor:
    """States on the unit circle."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def mad_by_definition(x: Tensor, edge_index: Tensor) -> float:
    """Chen et al. 2020, node by node: mean over the neighbours, then over the nodes with a value."""
    means = []
    for i in range(len(x)):
        near = edge_index[1, edge_index[0] == i].tolist()
        far = [float(1 - torch.nn.functional.cosine_similarity(x[i], x[j], dim=0)) for j in near]
        means.append(sum(far) / len(far) if far else 0.0)
    kept = [mean for mean in means if abs(mean) > 1e-12]
    return sum(kept) / len(kept)


def test_mean_average_distance_is_a_mean_over_nodes_not_over_edges() -> None:
    x = circle(0, *[8.0] * 10, 0, 68.3)  # a star of ten leaves, and a pair
    edge_index = torch.cat([star(10), undirected((11, 12))], dim=1)
    over_edges = float((1 - (x[edge_index[0]] * x[edge_index[1]]).sum(1)).mean())
    assert over_edges == pytest.approx(0.066, abs=5e-4)
    assert mean_average_distance(x, edge_index) == pytest.approx(0.105, abs=5e-4)


@pytest.mark.parametrize("seed", range(3))
def test_mean_average_distance_is_that_of_the_definition(seed: int) -> None:
    edge_index, x = edges(seed), states(N + 2, 5, seed=seed)  # two nodes have no neighbour
    assert mean_average_distance(x, edge_index) == pytest.approx(mad_by_definition(x, edge_index), rel=1e-12)


def test_mean_average_distance_leaves_out_nodes_without_a_value() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]])
    ends = torch.tensor([[0, 0, 1, 0], [1, 2, 2, 3]])
    edge_index = torch.cat([ends, ends.flip(0)], dim=1)
    assert mean_average_distance(x, edge_index) == pytest.approx((1.5 + 1 + 2) / 3)
    assert math.isnan(mean_average_distance(torch.zeros(4, 2), edge_index))
    alike = 7 * torch.tensor([[0.1, 0.3], [0.7, 2.1], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    pairs = undirected((0, 1), (2, 3))
    assert mean_average_distance(alike, pairs) == pytest.approx(1)  # 0 and 1 differ by their rounding alone
    assert mean_average_distance(alike[:2], EDGE) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_states_do_not_underflow(dtype: torch.dtype) -> None:
    x = torch.tensor([[1.0], [-1.0]], dtype=dtype) * 1e-30
    assert dirichlet_energy(x, EDGE) == pytest.approx(4e-60, rel=1e-6)
    assert dirichlet_energy_normalized(x, EDGE) == pytest.approx(2e-60, rel=1e-6)
    assert rayleigh_quotient(x, EDGE) == pytest.approx(1)
    assert mean_average_distance(x, EDGE) == pytest.approx(2)


def test_a_small_difference_of_large_states_does_not_cancel() -> None:
    x = torch.tensor([[1e8], [1e8 + 1]], dtype=torch.float64)
    assert dirichlet_energy(x, EDGE) == pytest.approx(1)
    assert dirichlet_energy_normalized(x, EDGE) == pytest.approx(0.5, rel=1e-6)
    nearly = torch.tensor([[1.0, 0.0], [1.0, 1e-9]], dtype=torch.float64)
    assert mean_average_distance(nearly, EDGE) == pytest.approx(5e-19)


@pytest.mark.parametrize(("difference", "expected"), [(1.0, 0.0), (1e-10, -20.0), (1e-30, -40.0), (0.0, -40.0)])
def test_the_logarithm_of_the_energy_has_a_floor(difference: float, expected: float) -> None:
    x = torch.tensor([[0.0], [difference]], dtype=torch.float64)
    assert log10_dirichlet_energy(x, EDGE) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(log10_dirichlet_energy(math.nan * x, EDGE))


@pytest.mark.parametrize("measure", ALL)
def test_a_diverged_state_is_not_a_number(measure: Function) -> None:
    assert math.isnan(measure(torch.tensor([[1.0], [float("nan")]]), EDGE))

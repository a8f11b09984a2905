import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring import ppr as module
from depthlab.graph.rewiring.ppr import exact_rows, ppr, pushed_rows
from tests.graph.rewiring.conftest import (
    assert_form,
    clique,
    cycle,
    dense,
    pairs,
    path,
    random_graph,
    seeded,
    undirected,
)


def diffusion(edge_index: Tensor, num_nodes: int, alpha: float) -> Tensor:
    """The series alpha sum_t (1 - alpha)^t T^t, term by term."""
    matrix = dense(edge_index, num_nodes) + torch.eye(num_nodes)
    root = matrix.sum(1).rsqrt()
    walk = root[:, None] * matrix * root
    term, total = alpha * torch.eye(num_nodes, dtype=torch.float64), torch.zeros(num_nodes, num_nodes).double()
    for _ in range(int(40 / alpha)):
        total, term = total + term, (1 - alpha) * term @ walk
    return total


def matrix_of(rows: object, edge_index: Tensor, num_nodes: int, alpha: float) -> Tensor:
    adjacency = csr_array((dense(edge_index, num_nodes) + torch.eye(num_nodes)).numpy())
    result = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    for node, others, values in rows(adjacency, alpha):  # type: ignore[operator]
        result[node, others] = torch.from_numpy(values)
    return result


@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_exact_rows_are_the_series(alpha: float) -> None:
    edge_index = random_graph(30, 0.1, 0)
    expected = diffusion(edge_index, 30, alpha)
    torch.testing.assert_close(matrix_of(exact_rows, edge_index, 30, alpha), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-6])
@pytest.mark.parametrize("block", [7, 100])
def test_pushed_rows_stay_within_their_bound(epsilon: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EPSILON", epsilon)
    monkeypatch.setattr(module, "BLOCK", block)
    edge_index = random_graph(30, 0.1, 0)
    degree = dense(edge_index, 30).sum(1) + 1
    missing = diffusion(edge_index, 30, 0.15) - matrix_of(pushed_rows, edge_index, 30, 0.15)
    assert float(missing.min()) > -1e-12
    assert bool((missing <= epsilon * (degree[:, None] * degree).sqrt() + 1e-12).all())
    assert float(missing.max()) > 1e-9  # they are not the exact ones


def test_what_is_left_to_walk_counts_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EPSILON", 0.3)  # one step from each node of a cycle, and no further
    rows = matrix_of(pushed_rows, cycle(7), 7, 0.15)
    expected = 0.15 * (torch.eye(7) + 0.85 * (dense(cycle(7), 7) + torch.eye(7)) / 3)
    torch.testing.assert_close(rows, expected.double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("exact", [True, False])
def test_the_strongest_of_every_row_or_column(k: int, exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", 40 if exact else 0)
    monkeypatch.setattr(module, "EPSILON", 1e-9)
    nodes, edge_index = 40, undirected(*pairs(random_graph(40, 0.1, 0)), *pairs(path(40)))
    scores = diffusion(edge_index, nodes, 0.15).fill_diagonal_(0)
    expected = {
        (min(u, v), max(u, v)) for u in range(nodes) for v in torch.argsort(scores[u], descending=True)[:k].tolist()
    }
    after = ppr(edge_index, nodes, seeded(), alpha=0.15, k=k)
    assert_form(after)
    assert pairs(after) == expected


def test_on_a_cycle_the_nearest_are_the_strongest() -> None:
    near = undirected(*((i, (i + hop) % 12) for i in range(12) for hop in (1, 2)))
    assert torch.equal(ppr(cycle(12), 12, seeded(), alpha=0.3, k=4), near)


@pytest.mark.parametrize("exact", [True, False])
def test_a_component_smaller_than_k_becomes_a_clique(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", 20 if exact else 0)
    before = undirected(*pairs(path(4)), *((a + 5, b + 5) for a, b in pairs(path(9))))  # node 4 is alone
    after = pairs(ppr(before, 14, seeded(), alpha=0.15, k=8))
    assert after == pairs(clique(4)) | {(a + 5, b + 5) for a, b in pairs(clique(9))}


def test_a_graph_without_edges_stays_so() -> None:
    assert ppr(undirected(), 5, seeded(), alpha=0.15, k=2).shape == (2, 0)


def test_the_first_of_equals_is_kept() -> None:
    star = undirected(*((0, leaf) for leaf in range(1, 6)))
    assert np.array_equal(module._strongest(np.array([0, 2, 1, 1, 1], np.float32), 2), [1, 2])
    assert pairs(ppr(star, 6, seeded(), alpha=0.15, k=1)) == pairs(star)


def test_more_than_all_others_are_refused() -> None:
    with pytest.raises(UserError, match=r"rewiring\.k=4 or less"):
        ppr(path(5), 5, seeded(), alpha=0.15, k=5)

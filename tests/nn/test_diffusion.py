from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.graph import Graph
from depthlab.measures.smoothness import dirichlet_energy, dirichlet_energy_normalized
from depthlab.nn import execution
from depthlab.nn.diffusion import Diffusion

WEIGHTS = pytest.mark.parametrize("weights", ["gcn", "attention"])
H = 0.25


def three_eighths(v: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """One step of the 3/8 rule, which torchdiffeq calls rk4."""
    k1 = H * v(x)
    k2 = H * v(x + k1 / 3)
    k3 = H * v(x + k2 - k1 / 3)
    k4 = H * v(x + k1 - k2 + k3)
    return x + (k1 + 3 * k2 + 3 * k3 + k4) / 8


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("solver", ["euler", "rk4"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@WEIGHTS
def test_equals_the_dense_equation(
    weights: str, dropout: float, solver: str, depth: int, settings: Any, graph: Graph, assert_same_as_dense: Any
) -> None:
    ends = graph.adjacency.row, graph.adjacency.col

    def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
        state = drop(x) @ model.encoder.weight + model.encoder.bias
        a = p if weights == "gcn" else torch.zeros_like(p).index_put(ends, model.attention(state, graph.adjacency))
        rest = torch.diag((a.sum(1) > 0).double())
        for _ in range(depth):
            if solver == "euler":
                state = state + H * (a - rest) @ state
            else:
                state = three_eighths(lambda x: (a - rest) @ x, state)
        return drop(F.relu(state)) @ model.decoder.weight + model.decoder.bias

    torch.manual_seed(depth)
    assert_same_as_dense(
        Diffusion(**settings(depth, dropout=dropout), weights=weights, heads=2, solver=solver, step_size=H), dense
    )


def integrate(model: Diffusion, graph: Graph) -> list[Tensor]:
    with torch.no_grad():
        return list(execution.states(model.double(), graph.x, graph.adjacency))


def test_energy_falls_at_every_step(settings: Any, graph: Graph) -> None:
    energies = [dirichlet_energy_normalized(x, graph.edge_index) for x in integrate(Diffusion(**settings(40)), graph)]
    assert all(later < earlier for earlier, later in pairwise(energies))
    assert energies[-1] < 0.1 * energies[0]


def test_attention_brings_neighbours_together_within_the_bounds_of_the_start(settings: Any, graph: Graph) -> None:
    states = integrate(Diffusion(**settings(400), weights="attention"), graph)
    energies = [dirichlet_energy(x, graph.edge_index) for x in (states[0], states[40], states[-1])]
    assert energies[0] > energies[1] > energies[2] and energies[2] < 1e-3 * energies[0]
    low, high = states[0].amin(0), states[0].amax(0)
    assert all(((low <= x + 1e-12) & (x <= high + 1e-12)).all() for x in states)


def test_without_attention_the_mean_weighted_by_roots_of_degrees_stays(settings: Any, graph: Graph) -> None:
    states = integrate(Diffusion(**settings(40)), graph)
    root = (graph.adjacency.matrix.to_dense() != 0).sum(1).double().sqrt()
    torch.testing.assert_close(root @ states[-1], root @ states[0], rtol=1e-6, atol=0)


@WEIGHTS
def test_a_node_that_lost_its_edges_rests_and_moves_no_other(weights: str, settings: Any, graph: Graph) -> None:
    node = int(graph.edge_index[0].bincount().argmax())
    adjacency = graph.adjacency
    kept = torch.ones(adjacency.num_edges + 1).double()
    kept[adjacency.pair[(adjacency.row == node) | (adjacency.col == node)]] = 0
    cut = Graph(graph.x, adjacency.normalized(kept[:-1]), graph.y, graph.train, graph.val, graph.test)
    torch.manual_seed(0)
    model = Diffusion(**settings(8), weights=weights)
    states = integrate(model, cut)
    torch.testing.assert_close(states[-1][node], states[0][node])
    assert isinstance(cut.x, Tensor)
    others = torch.arange(len(cut.y)) != node
    cut.x[node] += 10
    torch.testing.assert_close(integrate(model, cut)[-1][others], states[-1][others])

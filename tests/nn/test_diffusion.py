from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.graph.graph import Graph
from depthlab.measures.smoothness import dirichlet_energy, dirichlet_energy_normalized
from depthlab.nn import execution
from depthlab.nn.diffusion import Diffusion

WEIGHTS = pytest.mark.parametrize("weights", ["gcn", "attention"])
H = 0.25


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

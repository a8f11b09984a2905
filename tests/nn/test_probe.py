"""The small graph and the random weights that tell what an architecture supports."""

import torch
from torch import nn

from depthlab.nn.gcn import GCN
from depthlab.nn.probe import NODES, random_state, randomized, ring, same


class Scaled(GCN):
    """A network with a scalar, a buffer of numbers and one of positions."""

    def __init__(self) -> None:
        super().__init__(5, 3, 2, 4, bias=True)
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("variance", torch.zeros(4))
        self.register_buffer("position", torch.arange(4))


def test_a_ring_has_both_directions_of_each_edge_sorted_by_row() -> None:
    edges = ring()
    assert edges.shape == (2, 2 * NODES)
    assert {(b, a) for a, b in edges.T.tolist()} == set(map(tuple, edges.T.tolist()))
    assert torch.equal(edges[0], torch.arange(NODES).repeat_interleave(2))
    assert set(((edges[0] - edges[1]) % NODES).tolist()) == {1, NODES - 1}


def test_random_weights_leave_the_network_and_nothing_vanishes() -> None:
    network = Scaled()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    made = randomized(network, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for name, parameter in made.named_parameters():
        if parameter.dim() < 2:
            assert bool((parameter >= 0.5).all() and (parameter <= 1.5).all()), name
        else:
            assert bool(parameter.count_nonzero() == parameter.numel())
    variance, position = made.get_buffer("variance"), made.get_buffer("position")
    assert bool((variance >= 0.5).all()) and torch.equal(position, torch.arange(4))


def test_seeds_change_parameters_and_not_buffers() -> None:
    network = Scaled()
    first, again, other = (randomized(network, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert torch.equal(first.get_buffer("variance"), other.get_buffer("variance"))


def test_random_states_have_shape_and_type_of_a_state() -> None:
    state = (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 4))
    made = random_state(state, 1)
    assert [(entry.shape, entry.dtype) for entry in made] == [(entry.shape, entry.dtype) for entry in state]
    assert same(made, random_state(state, 1)) and not same(made, random_state(state, 2))


def test_same_means_up_to_rounding() -> None:
    x = torch.tensor([[1.0, -2.0]])
    assert same([x], [x * (1 + 1e-5)])
    assert not same([x], [x + 0.01]) and not same([x], [x * torch.nan]) and not same([x], [x.T])

"""Networks stacked into one give what each gives; which can be is found out, not declared."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.graph.copies import adjacency_copies
from depthlab.nn.gcn import GCN
from depthlab.nn.network import Network
from depthlab.nn.stacking import can_stack, stack
from depthlab.training.build import make_network
from tests.nn.conftest import Gated
from tests.nn.test_all import CLASSES, EVERY, FEATURES, Choice, make_graph, settings

STACKED = ("adgn", "appnp", "gcn", "gcnii", "gprgnn", "graphcon", "jknet", "mlp", "residual_gcn")


def made(choice: Choice, seed: int, **changes: Any) -> Network:
    return make_network(replace(settings(choice), **{"dropout": 0.5, "seed": seed, **changes}), FEATURES, CLASSES)


@EVERY
def test_what_can_be_stacked_is_stacked(choice: Choice) -> None:
    stackable = can_stack(
        lambda *sizes: make_network(replace(settings(choice), dropout=0.5, seed=sizes[2]), *sizes[:2])
    )
    assert stackable == (choice[0].removeprefix("model=") in STACKED)


@EVERY
def test_a_stack_gives_what_each_network_gives(choice: Choice) -> None:
    if choice[0].removeprefix("model=") not in STACKED:
        return
    graph, seeds = make_graph(), (3, 0, 7)
    networks = [made(choice, seed).double().train() for seed in seeds]
    both = stack(networks)
    out = both(torch.stack([graph.x] * 3), adjacency_copies(graph.adjacency, 3))  # type: ignore[list-item]
    for k, seed in enumerate(seeds):
        torch.testing.assert_close(out[k], made(choice, seed).double().train()(graph.x, graph.adjacency))


@pytest.mark.parametrize("norm", ["batch", "layer", "pair"])
def test_norms_mix_or_refuse_stacked_states(norm: str) -> None:
    assert not can_stack(
        lambda *sizes: make_network(replace(settings(("model=gcn",)), norm=norm, seed=sizes[2]), *sizes[:2])
    )


class Late(GCN):
    """Mixes replicas in its fourth layer alone."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        return (h + h.mean() if number == 3 else h,)


class Counting(GCN):
    """Counts its passes in a buffer, and does nothing with the count."""

    count: Tensor

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.register_buffer("count", torch.zeros(()))

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        self.count += 1
        return super().layer(number, state, graph)


class Drawn(GCN):
    """Has a constant that is drawn with the weights, and so differs between replicas."""

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.constant = torch.rand(())

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        return (self.constant * h,)


class Unwritten(GCN):
    """Raises an error for states of replicas."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        assert state[0].dim() == 2
        return super().layer(number, state, graph)


@pytest.mark.parametrize("kind", [Gated, Late, Counting, Drawn, Unwritten])
def test_a_network_whose_replicas_are_not_independent_is_not_stacked(kind: type[GCN]) -> None:
    def make(features: int, classes: int, seed: int) -> Network:
        torch.manual_seed(seed)
        return kind(features, classes, 4)

    assert not can_stack(make)


def test_a_parameter_that_is_not_learned_is_not_learned_by_replicas() -> None:
    networks = [GCN(FEATURES, CLASSES, 2) for _ in range(2)]
    for network in networks:
        network.weights[0].requires_grad_(False)
    assert [weight.requires_grad for weight in stack(networks).parameters()] == [False, True]

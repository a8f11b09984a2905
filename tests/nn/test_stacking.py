"""Networks stacked into one give what each gives; which can be is found out, not declared."""

from typing import Any

import pytest
import torch

from depthlab.graph.copies import adjacency_copies
from depthlab.nn.network import Network
from depthlab.nn.stacking import can_stack, stack
from depthlab.training.build import make_network
from tests.nn.test_all import CLASSES, EVERY, FEATURES, Choice, make_graph, settings

STACKED = ("adgn", "appnp", "gcn", "gcnii", "gprgnn", "graphcon", "jknet", "mlp", "residual_gcn")


def made(choice: Choice, seed: int, **changes: Any) -> Network:
    return make_network(settings(choice) | {"dropout": 0.5, "seed": seed} | changes, FEATURES, CLASSES)


@EVERY
def test_what_can_be_stacked_is_stacked(choice: Choice) -> None:
    assert can_stack(lambda *sizes: make_network(settings(choice) | {"dropout": 0.5}, *sizes)) == (
        choice[0].removeprefix("model=") in STACKED
    )


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
    assert not can_stack(lambda *sizes: make_network(settings(("model=gcn",)) | {"norm": norm}, *sizes))

"""Networks stacked into one: the logits, losses, gradients and steps of each alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hydra.utils import get_class
from torch.nn import functional as F

from depthlab.config.compose import compose_settings
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.execution import run
from depthlab.nn.gcnii import GCNII
from depthlab.nn.network import Network
from depthlab.ops import MaskSource, SparseFeatures
from depthlab.tasks.task import Classification
from depthlab.training.module import TrainingModule
from depthlab.training.replicas import _moments
from depthlab.training.stacked import Replicas
from tests.nn.conftest import CLASSES, FEATURES, small_graph
from tests.nn.test_all import CHOICES
from tests.nn.test_stacking import STACKED

SEEDS = (3, 0, 7)
PER_LAYER = DropEdge(0.4, per_layer=True)
TASK = Classification("acc", ("acc",), CLASSES)
Make = Callable[..., Network]
REPLICABLE = pytest.mark.parametrize(
    "choice", [choice for choice in CHOICES.values() if choice[0].removeprefix("model=") in STACKED], ids=" ".join
)


def architecture(choice: tuple[str, ...]) -> Make:
    model = compose_settings(["dataset=csbm", "recipe=none", *choice]).model
    return partial(get_class(model.target), **model.arguments)


@pytest.fixture
def graph() -> Graph:
    return small_graph()


@pytest.fixture
def graphs(graph: Graph) -> list[Graph]:
    """The same with splits whose parts differ in size."""
    parts = [(5, 4, 6), (3, 6, 6), (7, 5, 3)]
    order = torch.randperm(15, generator=torch.Generator().manual_seed(5))
    return [replace(graph, **dict(zip(("train", "val", "test"), order.split(sizes), strict=True))) for sizes in parts]


def modules(make: Make, depth: int, dropout: float = 0.0, **training: Any) -> list[TrainingModule]:
    found = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        network = make(in_channels=FEATURES, out_channels=CLASSES, depth=depth, hidden=5, dropout=dropout)
        network.masks = MaskSource(seed)
        found.append(TrainingModule(network, TASK, FEATURES, 5, **training).double())
    return found


def alone(network: TrainingModule, graph: Graph, steps: range) -> list[dict[str, float]]:
    """What a network scores after each step of a training of its own."""
    optimizer, seen = network.configure_optimizers(), []
    for step in steps:
        network.train()
        optimizer.zero_grad()
        logits = run(network.network, graph.x, network.training_graph(graph, step))
        loss = F.cross_entropy(logits[graph.train], graph.y[graph.train])
        loss.backward()
        optimizer.step()
        network.eval()
        with torch.inference_mode():
            network.validation_step([graph])
        seen.append({"train_loss": float(loss), **{name: float(value) for name, value in network.scores.items()}})
    return seen


def together(replicas: Replicas, steps: range) -> list[list[dict[str, float]]]:
    """The same of all replicas, by step."""
    seen = []
    for step in steps:
        losses = replicas.train(step)
        scores = replicas.validate()
        seen.append(
            [
                {"train_loss": float(a)} | {k: float(v) for k, v in b.items()}
                for a, b in zip(losses, scores, strict=True)
            ]
        )
    return seen


def assert_same(ours: Any, theirs: Any) -> None:
    assert [one.keys() for one in ours] == [one.keys() for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("drop_edge", [DropEdge(0.0), DropEdge(0.4), PER_LAYER], ids=["whole", "sample", "samples"])
@REPLICABLE
def test_each_replica_is_trained_like_a_single_run(
    choice: tuple[str, ...], drop_edge: DropEdge, graphs: list[Graph]
) -> None:
    chosen: dict[str, Any] = {
        "dropout": 0.5,
        "drop_edge": drop_edge,
        "weight_decay": 0.01,
        "weight_decay_linear": 0.1,
        "lr": 0.05,
    }
    make = architecture(choice)
    seen = together(Replicas(modules(make, 3, **chosen), graphs), range(4))
    singles = modules(make, 3, **chosen)
    for k, (network, graph) in enumerate(zip(singles, graphs, strict=True)):
        assert_same([step[k] for step in seen], alone(network, graph, range(4)))


def sparse(graph: Graph) -> Graph:
    assert isinstance(graph.x, torch.Tensor)
    bags = (graph.x * (graph.x > 0.5)).to_sparse_csr()
    parts = bags.crow_indices(), bags.col_indices(), bags.values()
    return replace(graph, x=SparseFeatures.from_csr(*parts, (bags.shape[0], bags.shape[1])))


def test_sparse_features_have_masks_of_their_own(graphs: list[Graph]) -> None:
    chosen: dict[str, Any] = {"depth": 2, "dropout": 0.5}
    bags = [sparse(graph) for graph in graphs]
    seen = together(Replicas(modules(GCNII, **chosen), bags), range(3))
    for k, network in enumerate(modules(GCNII, **chosen)):
        assert_same([step[k] for step in seen], alone(network, bags[k], range(3)))


def test_the_remaining_replicas_continue_unchanged(graphs: list[Graph]) -> None:
    chosen: dict[str, Any] = {"depth": 3, "dropout": 0.5, "weight_decay": 0.1, "drop_edge": DropEdge(0.3)}
    whole, fewer = (Replicas(modules(GCNII, **chosen), graphs) for _ in range(2))
    expected = together(whole, range(6))
    together(fewer, range(3))
    fewer.keep([2, 0])
    assert fewer.count == 2 and len(next(fewer.module.network.parameters())) == 2
    for ours, theirs in zip(together(fewer, range(3, 6)), expected[3:], strict=True):
        assert_same(ours, [theirs[2], theirs[0]])


def test_weights_and_moments_are_those_of_each_and_training_goes_on_from_them(graphs: list[Graph]) -> None:
    chosen: dict[str, Any] = {"depth": 2, "dropout": 0.5, "weight_decay": 0.1}
    replicas, single = Replicas(modules(GCNII, **chosen), graphs), modules(GCNII, **chosen)[1]
    optimizer = single.configure_optimizers()
    together(replicas, range(3))
    for step in range(3):
        optimizer.zero_grad()
        logits = run(single.train().network, graphs[1].x, single.training_graph(graphs[1], step))
        F.cross_entropy(logits[graphs[1].train], graphs[1].y[graphs[1].train]).backward()
        optimizer.step()
    for name, value in single.named_parameters():
        torch.testing.assert_close(replicas.weights(1)[name], value.detach())
    states = [optimizer.state[p] for group in optimizer.param_groups for p in group["params"]]
    torch.testing.assert_close(replicas.moments(1), [dict(state) for state in states])

    again = modules(GCNII, **chosen)
    for k, network in enumerate(again):
        network.load_state_dict(replicas.weights(k))
    resumed = Replicas(again, graphs, [replicas.moments(k) for k in range(3)])
    for ours, theirs in zip(together(resumed, range(3, 6)), together(replicas, range(3, 6)), strict=True):
        assert_same(ours, theirs)


def test_one_that_diverges_leaves_the_others_alone(graphs: list[Graph]) -> None:
    chosen: dict[str, Any] = {"depth": 2}
    broken, whole = modules(GCNII, **chosen), modules(GCNII, **chosen)
    with torch.no_grad():
        next(broken[1].parameters()).fill_(torch.nan)
    expected = together(Replicas(whole, graphs), range(3))
    for ours, theirs in zip(together(Replicas(broken, graphs), range(3)), expected, strict=True):
        assert_same([ours[0], ours[2]], [theirs[0], theirs[2]])
        assert ours[1]["train_loss"] != ours[1]["train_loss"]


def test_a_run_that_was_trained_alone_has_no_moments_of_a_parameter_that_is_not_learned() -> None:
    state = {"exp_avg": torch.ones(2)}
    adam = {"state": {1: state}, "param_groups": [{"params": [0, 1]}]}
    assert _moments(Mock(content={"optimizer_states": [adam]})) == [{}, state]

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock, call

import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.base import Features, NodeClassifier, Settings
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.mlp import MLP
from depthlab.nn.norm import NORMS
from depthlab.nn.residual_gcn import ResidualGCN
from depthlab.ops import SparseFeatures

N, FEATURES, CLASSES = 24, 9, 3
SETTINGS = Settings(FEATURES, CLASSES, depth=3, hidden=8)
BUILD: dict[str, Callable[[Settings], NodeClassifier]] = {
    "gcn": GCN,
    "gcn_bias": lambda settings: GCN(settings, bias=True),
    "residual_gcn": ResidualGCN,
    "gcnii": GCNII,
    "gcnii_star": lambda settings: GCNII(settings, star=True),
    "gcnii_plain": lambda settings: GCNII(settings, identity_map=False),
    "mlp": MLP,
}
EVERY = pytest.mark.parametrize("name", BUILD)
WITH_GRAPH = pytest.mark.parametrize("name", [*BUILD][:-1])
SPARSE = pytest.mark.parametrize("sparse", [False, True])


def make_graph(sparse: bool = False, classes: int = CLASSES) -> Graph:
    """Bags of words that tell the class, on a random graph."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, N, (2, 40), generator=generator)
    y = torch.arange(N) % classes
    dense = (torch.rand(N, FEATURES, generator=generator) < 0.3).float()
    dense[torch.arange(N), y] = 1
    csr = dense.to_sparse_csr()
    features = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (N, FEATURES))
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)
    return Graph(features if sparse else dense, adjacency, y, *torch.arange(N).split(8))


def make_model(name: str, seed: int = 0, **changes: Any) -> NodeClassifier:
    torch.manual_seed(seed)
    return BUILD[name](replace(SETTINGS, **changes))


def scores(model: NodeClassifier, step: str, graph: Graph) -> dict[str, float]:
    with torch.no_grad():
        getattr(model, step)([graph])
    return {name: float(value) for name, value in model.scores.items() if name != "train_loss"}


@SPARSE
@pytest.mark.parametrize("depth", [1, 2, 5])
@EVERY
def test_logits_and_observed_states(name: str, depth: int, sparse: bool) -> None:
    graph, model = make_graph(sparse), make_model(name, depth=depth)
    seen: list[tuple[int, Features]] = []
    logits = model(graph.x, graph.adjacency, lambda layer, state: seen.append((layer, state)))
    assert logits.shape == (N, CLASSES) and logits.dtype == torch.float32
    assert [layer for layer, _ in seen] == list(range(depth + 1))
    hidden = [(N, 8)] * (depth + 1)
    expected = hidden if "gcnii" in name else [(N, FEATURES), *hidden[: depth - 1], (N, CLASSES)]
    assert [tuple(state.shape) for _, state in seen] == expected
    assert (seen[0][1] is graph.x) == (seen[-1][1] is logits) == ("gcnii" not in name)
    assert all((state >= 0).all() for _, state in seen[1:-1] if isinstance(state, Tensor))
    assert torch.equal(model(graph.x, graph.adjacency), logits)


@EVERY
def test_sparse_and_dense_features_give_the_same(name: str) -> None:
    results = []
    for graph in (make_graph(sparse=False), make_graph(sparse=True)):
        model = make_model(name)
        (loss := model.training_step(graph)).backward()
        results.append([loss.detach(), *(p.grad for p in model.parameters())])
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("norm", NORMS)
@EVERY
def test_one_seed_gives_one_start(name: str, norm: str) -> None:
    first, again, other = (make_model(name, seed, norm=norm).state_dict() for seed in (4, 4, 5))
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@SPARSE
@EVERY
def test_dropout_acts_in_training_only(name: str, sparse: bool) -> None:
    graph, model, plain = make_graph(sparse), make_model(name, dropout=0.5), make_model(name)
    a, b = model(graph.x, graph.adjacency), model(graph.x, graph.adjacency)
    assert not torch.allclose(a, b) and not torch.allclose(a, plain(graph.x, graph.adjacency))
    model.eval()
    for _ in range(2):
        assert torch.equal(model(graph.x, graph.adjacency), plain(graph.x, graph.adjacency))


@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("mode", ["renormalize", "rescale"])
@WITH_GRAPH
def test_edges_are_dropped_in_training_only(name: str, mode: str, per_layer: bool) -> None:
    graph = make_graph()
    model, plain = make_model(name, drop_edge=DropEdge(0.5, mode, per_layer)), make_model(name)
    before = graph.adjacency.values.clone()
    assert not torch.allclose(model.training_step(graph), plain.training_step(graph))
    assert torch.equal(graph.adjacency.values, before)
    model.eval(), plain.eval()
    for step in ("validation_step", "test_step"):
        assert scores(model, step, graph) == scores(plain, step, graph)


@WITH_GRAPH
def test_every_layer_propagates_over_its_own_adjacency(name: str) -> None:
    graph = make_graph()
    samples = Mock(at=Mock(return_value=graph.adjacency))
    make_model(name, depth=4)(graph.x, samples)
    assert samples.at.call_args_list == [call(1), call(2), call(3), call(4)]


@EVERY
def test_seed_and_step_decide_the_masks(name: str) -> None:
    graph = make_graph()

    def loss(step: int, seed: int = 0, earlier: int = 0) -> float:
        torch.manual_seed(0)
        model = BUILD[name](replace(SETTINGS, dropout=0.5, drop_edge=DropEdge(0.5, per_layer=True), seed=seed))
        for previous in range(earlier):
            model(graph.x, model.training_adjacency(graph, previous))
        return float(model(graph.x, model.training_adjacency(graph, step)).detach().square().sum())

    assert loss(3) == loss(3) == loss(3, earlier=3)
    assert len({loss(3), loss(4), loss(3, seed=1)}) == 3


@pytest.mark.parametrize("norm", NORMS)
@SPARSE
@EVERY
def test_a_few_steps_lower_the_loss(name: str, sparse: bool, norm: str) -> None:
    graph, model = make_graph(sparse), make_model(name, norm=norm, dropout=0.2, depth=2, drop_edge=DropEdge(0.2))
    before = [p.detach().clone() for p in model.parameters()]
    optimizer, losses = model.configure_optimizers(), []
    for _ in range(20):
        optimizer.zero_grad()
        (loss := model.training_step(graph)).backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert float(model.scores["train_loss"]) == losses[-1]
    assert losses[-1] < 0.9 * losses[0]
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@EVERY
def test_encoder_and_decoder_have_their_own_weight_decay(name: str) -> None:
    model = make_model(name, weight_decay=0.1, weight_decay_linear=0.2, lr=0.03, norm="layer")
    groups = model.configure_optimizers().param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for parameter_name, parameter in model.named_parameters():
        linear = parameter_name.startswith(("encoder.", "decoder."))
        assert decay[id(parameter)] == (0.2 if linear else 0.1)
    assert set(decay.values()) == ({0.1, 0.2} if "gcnii" in name else {0.1})
    assert all(group["lr"] == 0.03 for group in groups)


@EVERY
def test_only_the_test_step_reads_test_labels(name: str) -> None:
    clean = make_graph()
    y = clean.y.clone()
    y[clean.test] = 99
    poisoned, model = replace(clean, y=y), make_model(name)
    assert torch.equal(model.training_step(clean), model.training_step(poisoned))
    assert scores(model, "validation_step", clean) == scores(model, "validation_step", poisoned)
    with pytest.raises(IndexError):
        model.test_step([poisoned])


@EVERY
def test_many_graphs_are_scored_as_one(name: str) -> None:
    """The three parts of one graph, each shown on a copy of its own, give the scores of the whole."""
    graph, model = make_graph(), make_model(name).eval()
    none = torch.empty(0, dtype=torch.long)
    halves = [replace(graph, val=part, train=none, test=none) for part in graph.val.split(3)]
    rest = replace(graph, val=none)
    for step in ("validation_step", "test_step"):
        expected = scores(model, step, graph)
        model.scores = {}
        with torch.no_grad():
            getattr(model, step)([*halves, rest])
        found = {key: float(value) for key, value in model.scores.items()}
        assert found == pytest.approx(expected)
        model.scores = {}


def test_the_training_loss_of_an_epoch_is_the_mean_of_its_batches() -> None:
    model, graph, losses = make_model("gcn"), make_graph(), []
    for batch, nodes in enumerate(graph.train.split(3)):
        losses.append(float(model.training_step(replace(graph, train=nodes), batch).detach()))
        assert float(model.scores["train_loss"]) == pytest.approx(sum(losses) / len(losses))
    model.training_step(graph, 0)
    assert float(model.scores["train_loss"]) == pytest.approx(float(model.training_step(graph).detach()))


@EVERY
def test_scores_are_losses_and_accuracies_of_each_part(name: str) -> None:
    graph, model = make_graph(), make_model(name).eval()
    logits = model(graph.x, graph.adjacency).detach()
    parts = {"train": graph.train, "val": graph.val, "test": graph.test}
    expected = {f"{part}_acc": float((logits[i].argmax(1) == graph.y[i]).double().mean()) for part, i in parts.items()}
    rows = logits.log_softmax(1)[torch.arange(N), graph.y]
    expected |= {f"{part}_loss": float(-rows[parts[part]].mean()) for part in ("val", "test")}
    assert scores(model, "test_step", graph) == pytest.approx(expected)
    expected = {name: value for name, value in expected.items() if "test" not in name}
    model.scores = {}
    assert scores(model, "validation_step", graph) == pytest.approx(expected)

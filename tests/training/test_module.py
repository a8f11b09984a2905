"""A step of training, and what is scored."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.mlp import MLP
from depthlab.nn.network import Network
from depthlab.nn.norm import NORMS
from depthlab.ops import MaskSource, SparseFeatures
from depthlab.tasks.task import Classification
from depthlab.training.module import TrainingModule

N, FEATURES, CLASSES = 24, 9, 3
BUILD: dict[str, Callable[..., Network]] = {"gcn": GCN, "gcnii": GCNII, "mlp": MLP}
TASK = Classification("acc", ("acc",), CLASSES)
EVERY = pytest.mark.parametrize("name", BUILD)
WITH_GRAPH = pytest.mark.parametrize("name", ["gcn", "gcnii"])
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


def make_model(
    name: str, seed: int = 0, depth: int = 3, norm: str = "none", dropout: float = 0.0, **training: Any
) -> Any:
    torch.manual_seed(seed)
    network = BUILD[name](FEATURES, CLASSES, depth, hidden=8, norm=norm, dropout=dropout)
    network.masks = MaskSource(seed)
    return TrainingModule(network, TASK, FEATURES, 8, **training)


def scores(model: TrainingModule, step: str, graph: Graph) -> dict[str, float]:
    with torch.no_grad():
        getattr(model, step)([graph])
    return {name: float(value) for name, value in model.scores.items() if name != "train_loss"}


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


@EVERY
def test_seed_and_step_decide_the_masks(name: str) -> None:
    graph = make_graph()

    def loss(step: int, seed: int = 0, earlier: int = 0) -> float:
        model = make_model(name, dropout=0.5, drop_edge=DropEdge(0.5, per_layer=True))
        model.network.masks = MaskSource(seed)
        for previous in range(earlier):
            model.network(graph.x, model.training_graph(graph, previous))
        return float(model.network(graph.x, model.training_graph(graph, step)).detach().square().sum())

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
    for parameter_name, parameter in model.network.named_parameters():
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
    logits = model.network(graph.x, graph.adjacency).detach()
    parts = {"train": graph.train, "val": graph.val, "test": graph.test}
    expected = {f"{part}_acc": float((logits[i].argmax(1) == graph.y[i]).double().mean()) for part, i in parts.items()}
    rows = logits.log_softmax(1)[torch.arange(N), graph.y]
    expected |= {f"{part}_loss": float(-rows[parts[part]].mean()) for part in ("val", "test")}
    assert scores(model, "test_step", graph) == pytest.approx(expected)
    expected = {name: value for name, value in expected.items() if "test" not in name}
    model.scores = {}
    assert scores(model, "validation_step", graph) == pytest.approx(expected)


def test_each_rank_continues_its_own_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is written by the main rank; one of a run on the CPU does not start CUDA."""
    drawn, states = [], []
    for rank in range(2):
        torch.manual_seed(rank)
        states.append({"cpu": torch.get_rng_state()})
        drawn.append(torch.rand(3))
    for name, function in {
        "is_initialized": lambda: True,
        "get_world_size": lambda: 2,
        "all_gather_object": lambda received, own: received.__setitem__(slice(None), [own, states[1]]),
    }.items():
        monkeypatch.setattr(f"depthlab.training.module.distributed.{name}", function)
    monkeypatch.delattr(torch.cuda, "get_rng_state")
    monkeypatch.delattr(torch.cuda, "set_rng_state")
    model, checkpoint = make_model("gcn"), dict[str, Any]()
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    model._trainer = SimpleNamespace(strategy=strategy, global_rank=0)
    torch.manual_seed(0)
    model.on_save_checkpoint(checkpoint)
    for rank in range(2):
        model._trainer.global_rank = rank
        model.on_load_checkpoint(checkpoint)
        assert torch.equal(torch.rand(3), drawn[rank])

"""What holds for every architecture in conf/model, with its defaults and with each other choice its file names."""

from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any
from unittest.mock import Mock, call

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F
from torch_geometric import seed_everything
from torch_geometric.datasets import FakeDataset

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import DropEdgeSettings, Settings
from depthlab.data.collect import collect
from depthlab.data.prepare import read
from depthlab.data.rewire import make_batches
from depthlab.folders import CONF
from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.batches import Batches
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.execution import states
from depthlab.nn.flow import Flow
from depthlab.nn.mlp import MLP
from depthlab.nn.norm import NORMS
from depthlab.ops import MaskSource, SparseFeatures
from depthlab.tasks.task import Classification
from depthlab.training.build import build_model
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.module import TrainingModule
from tests.settings import ARCHITECTURES

N, FEATURES, CLASSES, LONELY = 18, 6, 3, 17
SHORTER = {"acmp": ["model.step_size=0.1"]}  # what dropout adds to the states of this graph needs it
NEEDS = {  # choices that cannot stand alone
    "model.form=released": ["model.normalization=sum", "model.step_size=0.05"],
    "model.normalization=sum": ["model.step_size=0.05"],
    "model.solver=euler": ["model.step_size=0.1"],
}
APPROXIMATE = ("model.solver=dopri5", "model.adjoint=true")  # within tolerances
Choice = tuple[str, ...]


def choices() -> dict[str, Choice]:
    """Command lines by name: for every model its defaults, every switch turned and every listed option."""
    found: dict[str, Choice] = {}
    for path in (CONF / "model" / f"{name}.yaml" for name in ARCHITECTURES):
        knobs = yaml.safe_load(path.read_text())
        limits = knobs.pop("limits", {})
        plainly = found[path.stem] = (f"model={path.stem}", *SHORTER.get(path.stem, []))
        for key, default in knobs.items():
            options = [not default] if isinstance(default, bool) else limits.get(key)
            for option in options if isinstance(options, list) else []:
                if option != default:
                    typed = f"model.{key}={str(option).lower()}"
                    found[f"{path.stem} {typed[6:]}"] = (*plainly, typed, *NEEDS.get(typed, []))
    return found


CHOICES = choices()
EVERY = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)


@cache
def settings(choice: Choice) -> Settings:
    return compose_settings(["dataset=csbm", "recipe=none", "dropout=0", "depth=3", "hidden=8", *choice])


def gcn(edge_index: Tensor, num_nodes: int = N) -> Adjacency:
    adjacency = gcn_adjacency(edge_index, num_nodes)
    return adjacency.with_values(adjacency.values.double())


def make_graph(directed: bool = False) -> Graph:
    """Bags of words on some 30 edges, float64; the last node has no neighbour."""
    generator = torch.Generator().manual_seed(1)
    edges = torch.randint(0, LONELY, (2, 30), generator=generator)
    x = (torch.rand(N, FEATURES, generator=generator) < 0.4).double()
    x[torch.arange(N), torch.arange(N) % FEATURES] = 1
    y = torch.randint(0, CLASSES, (N,), generator=generator)
    both = edges if directed else torch.cat([edges, edges.flip(0)], 1)
    return Graph(x, gcn(both), y, *torch.arange(N).split(6))


def make_model(choice: Choice, **changes: Any) -> TrainingModule:
    """As a run builds it, but float64."""
    graph = make_graph()
    assert isinstance(graph.x, Tensor)
    single = replace(graph, x=graph.x.float(), adjacency=graph.adjacency.with_values(graph.adjacency.values.float()))
    return build_model(replace(settings(choice), **changes), single, Classification("acc", ("acc",), CLASSES)).double()


def logits_and_gradients(model: TrainingModule, graph: Graph) -> list[Tensor]:
    logits = model.network(graph.x, graph.adjacency)
    learned = [p for p in model.parameters() if p.requires_grad]
    return [logits.detach(), *torch.autograd.grad(F.cross_entropy(logits, graph.y), learned)]


@EVERY
def test_dropped_edges_are_as_if_they_were_not_there(choice: Choice) -> None:
    whole, model = make_graph(), make_model(choice)
    sample = DropEdge(0.6).sample(whole.adjacency, MaskSource(0))
    left = torch.stack([sample.col[sample.neighbours], sample.row[sample.neighbours]])
    assert len(left[0].unique()) < len(whole.edge_index[0].unique()), "no node lost all its neighbours"
    dropped, without = (replace(whole, adjacency=adjacency) for adjacency in (sample, gcn(left)))
    torch.testing.assert_close(logits_and_gradients(model, dropped), logits_and_gradients(model, without))


@EVERY
def test_a_node_without_neighbours_is_classified_as_if_alone(choice: Choice) -> None:
    graph, model = make_graph(), make_model(choice).eval()
    assert isinstance(graph.x, Tensor)
    logits, *gradients = logits_and_gradients(model, graph)
    assert all(found.isfinite().all() for found in (logits, *gradients))
    alone = model.network(graph.x[LONELY:], gcn(torch.empty(2, 0, dtype=torch.long), 1))
    rtol, atol = (1e-2, 1e-3) if "model.solver=dopri5" in choice else (1e-7, 1e-7)
    torch.testing.assert_close(logits[LONELY:], alone, rtol=rtol, atol=atol)


@pytest.mark.parametrize("new", [0, 1], ids=["new edges", "a new node"])
@EVERY
def test_a_rewired_graph_is_learnt_from(choice: Choice, new: int) -> None:
    graph, model = make_graph(), make_model(choice).train()
    assert isinstance(graph.x, Tensor)
    hub = torch.stack([torch.full((N,), N - 1 + new), torch.arange(N)])[:, : N - 1 + new]
    edges = torch.cat([graph.edge_index, hub, hub.flip(0)], 1)
    rewired = graph.rewired(F.pad(graph.x, (0, 0, 0, new)), edges)
    rewired = replace(rewired, adjacency=rewired.adjacency.with_values(rewired.adjacency.values.double()))
    optimizer = model.configure_optimizers()
    before = [p.clone() for p in model.parameters()]
    loss = model.training_step(rewired)
    loss.backward()
    optimizer.step()
    assert loss.isfinite() and all(p.isfinite().all() for p in model.parameters())
    assert any(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    model.eval()
    with torch.no_grad():
        losses = []
        for one in (rewired, graph):
            model.validation_step([one])
            losses.append(float(model.scores["val_loss"]))
    assert (losses[0] == losses[1]) == isinstance(model.network, MLP)


@EVERY
def test_a_graph_of_its_own_for_the_last_layer_is_used_there_or_refused(choice: Choice) -> None:
    graph, model = make_graph(), make_model(choice).eval()
    assert isinstance(graph.x, Tensor)
    single = replace(graph, x=graph.x.float(), adjacency=gcn_adjacency(graph.edge_index, N))
    everywhere = single.rewired(single.x, graph.edge_index[:, :6])
    rewired = single.rewired(single.x, graph.edge_index[:, :6], last_of=3)
    network = model.network
    if isinstance(network, Flow):
        with pytest.raises(UserError, match=rf"^{type(network).__name__} does not support rewiring\.layers=last, "):
            network.check(rewired, DropEdge(0.0))
        return
    model.float()
    network.check(rewired, DropEdge(0.0))
    last, first, all_layers = (network(graph.x.float(), one.layers) for one in (rewired, single, everywhere))
    if not isinstance(network, MLP):
        assert not torch.equal(last, first) and not torch.equal(last, all_layers)


@EVERY
def test_sparse_and_dense_features_give_the_same(choice: Choice) -> None:
    graph, model = make_graph(), make_model(choice)
    assert isinstance(graph.x, Tensor)
    csr = graph.x.to_sparse_csr()
    sparse = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (N, FEATURES))
    expected = logits_and_gradients(model, graph)
    torch.testing.assert_close(logits_and_gradients(model, replace(graph, x=sparse)), expected)


@pytest.mark.parametrize("directed", [False, True])
@EVERY
def test_gradients_are_slopes(choice: Choice, directed: bool) -> None:
    graph, model = make_graph(directed), make_model(choice)
    learned = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in learned]

    def moved(by: float) -> float:
        for p, direction in zip(learned, directions, strict=True):
            p.data.add_(direction, alpha=by)
        return float(F.cross_entropy(model.network(graph.x, graph.adjacency), graph.y).detach())

    moved(0.1)  # zero biases are at the kink of a relu
    _, *gradients = logits_and_gradients(model, graph)
    slope = sum(float((g * direction).sum()) for g, direction in zip(gradients, directions, strict=True))
    rise = (moved(1e-5) - moved(-2e-5)) / 2e-5
    assert slope == pytest.approx(rise, rel=1e-2 if set(choice) & set(APPROXIMATE) else 1e-5)


@EVERY
def test_gradients_reach_every_learned_parameter(choice: Choice) -> None:
    unreached = []
    for seed in range(10):  # GAT's receiver cancels in every softmax whose scores share one sign
        model = make_model(choice, seed=seed)
        model.training_step(make_graph()).backward()
        learned = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        unreached.append({name for name, grad in learned.items() if grad is None or grad.abs().max() < 1e-12})
    assert learned and set.intersection(*unreached) == set()


@cache
def task_batches(dataset: str) -> Batches:
    typed = (
        ["dataset.radius=2"]
        if dataset.startswith("tree")
        else ["dataset.size=6", "dataset.train_graphs=40", "dataset.test_graphs=8"]
    )
    chosen = compose_settings([f"dataset={dataset}", *typed, "dataset.batch_size=8", "recipe=none"])
    return make_batches(chosen, read(chosen.dataset))


@cache
def collection_batches() -> Batches:
    seed_everything(0)
    graphs = list(FakeDataset(24, avg_num_nodes=8, avg_degree=2, num_channels=5, num_classes=2, edge_dim=0))
    for graph in graphs:
        graph.x = graph.x / 4  # within the stable steps of ACMP
    return collect(graphs).batches("0", 0, "mean", 8)


@pytest.mark.parametrize("dataset", ["tree_neighbors_match", "ring_transfer", "collection"])
@EVERY
def test_trains_on_batches_of_graphs(choice: Choice, dataset: str) -> None:
    batches = collection_batches() if dataset == "collection" else task_batches(dataset)
    model = build_model(settings(choice), batches.probe, Classification("acc", ("acc",), int(batches.labels.max()) + 1))
    optimizer = model.configure_optimizers()
    for number, graph in enumerate(islice(batches, 2)):
        optimizer.zero_grad()
        (loss := model.training_step(graph, number)).backward()
        assert loss.isfinite()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        model.validation_step(batches.validation)
    assert all(float(model.scores[name]) >= 0 for name in ("train_acc", "val_acc", "val_loss"))
    assert len(training_gradient_norms(model, batches.probe)) in (0, 4)


@EVERY
def test_a_permutation_of_the_nodes_permutes_the_logits(choice: Choice) -> None:
    graph, model = make_graph(), make_model(choice, dropout=0.5, p_drop=0.5).eval()
    assert isinstance(graph.x, Tensor)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    permuted = model.network(graph.x[order], gcn(order.argsort()[graph.edge_index]))
    torch.testing.assert_close(permuted, model.network(graph.x, graph.adjacency)[order])


@EVERY
def test_one_seed_gives_one_start(choice: Choice) -> None:
    first, again, other = (make_model(choice, seed=seed).state_dict() for seed in (4, 4, 5))
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(("depth", "hidden"), [(1, 7), (2, 1), (5, 7)])  # no multiple of the heads, and less
@EVERY
def test_there_is_a_state_for_every_layer_at_any_depth_and_width(choice: Choice, depth: int, hidden: int) -> None:
    graph, network = make_graph(), make_model(choice, depth=depth, hidden=hidden).network
    logits, seen = network(graph.x, graph.adjacency), list(states(network, graph.x, graph.adjacency))
    assert logits.shape == (N, CLASSES) and logits.isfinite().all()
    assert len(seen) == depth + 1
    assert all(len(state) == N and state.isfinite().all() for state in seen)


@EVERY
def test_a_training_step_with_masks_for_every_layer_can_be_repeated(choice: Choice) -> None:
    per_layer = DropEdgeSettings("renormalize", per_layer=True)
    graph = make_graph()
    model = make_model(choice, p_drop=0.5, drop_edge=per_layer, dropout=0.5, seed=1).train()  # 0: ACMP leaves the well
    first, again = model.training_step(graph), model.training_step(graph)
    first.backward()
    assert first.isfinite() and torch.equal(first, again)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@EVERY
def test_every_layer_propagates_over_its_own_sample(choice: Choice) -> None:
    graph, model = make_graph(), make_model(choice)
    samples = Mock(at=Mock(return_value=graph.adjacency))
    model.network(graph.x, samples)
    layers = [0] if isinstance(model.network, Flow) else [0, 1, 2]
    assert samples.at.call_args_list == [call(layer) for layer in layers]


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "none"])
@EVERY
def test_a_norm_changes_the_logits_or_is_refused(choice: Choice, norm: str) -> None:
    graph, plain = make_graph(), make_model(choice)
    if not hasattr(plain.network, "norms"):
        with pytest.raises(UserError, match=f"{type(plain.network).__name__} does not support norm={norm}"):
            make_model(choice, norm=norm)
        return
    normed = make_model(choice, norm=norm)
    assert not torch.allclose(normed.network(graph.x, graph.adjacency), plain.network(graph.x, graph.adjacency))

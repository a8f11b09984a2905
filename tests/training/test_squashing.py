"""Curves by hop of models that were not trained, and of a run."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from depthlab.config.compose import compose_settings
from depthlab.config.schema import Settings
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches, rewire
from depthlab.graph.statistics import receptive_field
from depthlab.measures.sensitivity import hop_distance
from depthlab.tasks.task import make_task
from depthlab.training.build import build_model
from depthlab.training.figures import panels
from depthlab.training.identity import checkpoint_folder
from depthlab.training.run import run
from depthlab.training.squashing import measures_by_hop

Compose = Callable[..., Settings]
BY_HOP = ("sensitivity", "walk_weight", "bottleneck_ratio")


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("model", ["gcn", "gcnii", "gat", "appnp", "residual_gcn"])
def test_a_layer_reaches_one_hop(settings: Compose, model: str, depth: int) -> None:
    chosen = settings(f"model={model}", f"depth={depth}", "hidden=4", "dataset.degree=2")
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    net = build_model(chosen, graph, make_task(chosen, dataset)).eval()
    curves = measures_by_hop(net, graph, BY_HOP)
    found = curves["sensitivity"]
    assert len(found) == depth + 2 and all(value > 0 for value in found[:-1]) and found[-1] == 0
    assert not any(parameter.grad is not None for parameter in net.parameters())
    sizes = [1, *receptive_field(graph.edge_index, dataset.num_nodes, depth + 1)]
    assert curves["bottleneck_ratio"] == pytest.approx([size / 4 for size in sizes])
    assert measures_by_hop(net, graph, BY_HOP) == curves


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_without_relu_the_sensitivity_of_a_gcn_follows_walks(settings: Compose, depth: int) -> None:
    chosen = settings("model=gcn", f"depth={depth}", "hidden=4", "dataset.degree=2")
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    graph = replace(graph, x=torch.rand(graph.x.shape) + 0.1)
    net = build_model(chosen, graph, make_task(chosen, dataset)).eval()
    with torch.no_grad():  # all states are positive: relu does nothing
        for parameter in net.parameters():
            parameter.abs_()
    curves = measures_by_hop(net, graph, BY_HOP)
    found, walks = (torch.tensor(curves[name]) for name in ("sensitivity", "walk_weight"))
    torch.testing.assert_close(found / found[0], walks / walks[0], rtol=1e-4, atol=1e-9)
    nodes = torch.randperm(dataset.num_nodes, generator=torch.Generator().manual_seed(0))[:16]
    power = torch.linalg.matrix_power(graph.adjacency.matrix.to_dense().double(), depth)[nodes]
    distance = hop_distance(graph.edge_index, dataset.num_nodes, nodes, depth)
    means = [float(power[distance == k].mean()) for k in range(depth + 1)]
    assert curves["walk_weight"] == pytest.approx([*means, 0.0], rel=1e-4)


def test_the_curves_end_at_the_farthest_node(settings: Compose) -> None:
    chosen = settings("model=appnp", "depth=60", "hidden=4")
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    curves = measures_by_hop(build_model(chosen, graph, make_task(chosen, dataset)).eval(), graph, BY_HOP)
    assert len(curves["sensitivity"]) == len(curves["bottleneck_ratio"]) < 15
    assert not any(map(math.isnan, curves["sensitivity"]))


def test_a_run_records_them_when_asked(settings: Compose) -> None:
    plain = run(settings("depth=2", "epochs=3"))
    assert not set(BY_HOP) & plain.curves.keys()
    chosen = settings("depth=2", "epochs=3", "measures=[effective_rank,sensitivity,walk_weight,bottleneck_ratio]")
    result = run(chosen)
    client = MlflowClient(chosen.tracking.uri)
    for name in BY_HOP:
        points = client.get_metric_history(result.run_id, f"hop/{name}")
        assert sorted((point.step, point.value) for point in points) == list(enumerate(result.curves[name]))
    assert "dirichlet_energy" not in result.curves and len(result.curves["effective_rank"]) == 3
    assert result.scores["test_acc"] == plain.scores["test_acc"]
    assert [measure.name for measure in panels(result.curves)] == ["effective_rank", "gradient_norm_first_epoch"]


def test_a_run_measures_the_tested_state(settings: Compose) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=6", "dropout=0.8", "measures=[sensitivity]")
    result = run(chosen)
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    net = build_model(chosen, graph, make_task(chosen, dataset))
    net.load_state_dict(torch.load(checkpoint_folder(chosen) / "final.ckpt", weights_only=True)["state_dict"])
    assert measures_by_hop(net.eval(), graph, ["sensitivity"])["sensitivity"] == result.curves["sensitivity"]


@pytest.mark.parametrize("layers", ["all", "last"])
def test_a_rewired_network_is_sensitive_to_more_distant_hops(settings: Compose, tmp_path: Path, layers: str) -> None:
    chosen = settings("model=gcn", "depth=2", "hidden=4", "dataset.degree=2", "rewiring=virtual_node",
                      f"rewiring.layers={layers}")  # fmt: skip
    dataset, fingerprint = load(chosen.dataset)
    rewired = rewire(dataset, fingerprint, chosen, tmp_path).graph
    net = build_model(chosen, rewired, make_task(chosen, dataset)).eval()
    plain, found = (measures_by_hop(net, one, BY_HOP) for one in (make_batches(chosen, dataset).probe, rewired))
    assert found["bottleneck_ratio"] == plain["bottleneck_ratio"]
    assert plain["sensitivity"][3] == 0
    assert (found["sensitivity"][3] > 0) == (layers == "all")  # two hops over the new node


def test_sensitivity_of_a_task_covers_the_read_out_nodes_and_its_range() -> None:
    """In a tree the messages of one direction reach the root, in as many layers as it is deep."""
    typed = ["dataset=tree_neighbors_match", "dataset.radius=3", "model=gcn", "depth=3", "hidden=16", "recipe=none"]
    chosen = compose_settings(typed)
    dataset, _ = load(chosen.dataset)
    batches = make_batches(chosen, dataset)
    found = {}
    for depth in (2, 3):
        net = build_model(replace(chosen, depth=depth), batches.probe, make_task(chosen, dataset)).eval()
        found[depth] = measures_by_hop(net, batches.probe, BY_HOP, batches.task_range)["sensitivity"]
    assert len(found[2]) == len(found[3]) == 4
    assert found[2][3] == 0 < found[3][3]  # the leaves; between, features and so relu's slope are zero
    assert min(found[2][0], found[3][0]) > 0


@pytest.mark.parametrize(("size", "central"), [(6, 7), (10, 51), (14, 393), (20, 8953)])
def test_opposite_on_a_ring_is_two_walks_of_a_central_trinomial_coefficient(size: int, central: int) -> None:
    typed = ["dataset=ring_transfer", f"dataset.size={size}", "dataset.train_graphs=10", "dataset.test_graphs=5"]
    chosen = compose_settings([*typed, "model=gcn", f"depth={size // 2}", "recipe=none"])
    dataset, _ = load(chosen.dataset)
    batches = make_batches(chosen, dataset)
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        net = build_model(replace(chosen, seed=seed), batches.probe, make_task(chosen, dataset)).eval()
        curves = measures_by_hop(net, batches.probe, BY_HOP, batches.task_range)
        walks = curves["walk_weight"]
        assert walks[size // 2] / walks[0] == pytest.approx(2 / central, rel=1e-4)
        found.append((curves["sensitivity"][size // 2] / curves["sensitivity"][0]) ** (2 / size))
    assert sorted(found)[2] == pytest.approx((2 / central) ** (2 / size), rel=0.1)  # relu is the rest

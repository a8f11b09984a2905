"""The states of a network after each layer, as a file."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from depthlab.config.schema import Settings
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches, rewire
from depthlab.measures.projection import plane
from depthlab.nn.execution import states
from depthlab.tasks.task import make_task
from depthlab.tracking.search import Records
from depthlab.training.animation import save_states
from depthlab.training.build import build_model
from depthlab.training.run import run

Compose = Callable[..., Settings]


@pytest.mark.parametrize("model", ["gcn", "mlp"])
def test_every_layer_lies_in_the_plane(settings: Compose, tmp_path: Path, model: str) -> None:
    chosen = settings(f"model={model}", "depth=3")
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    network = build_model(chosen, graph, make_task(chosen, dataset)).eval()
    save_states(network, graph, tmp_path / "states.npz", ["red", "blue"])
    with np.load(tmp_path / "states.npz") as content:
        points, y = content["points"], content["y"]
        assert content["classes"].tolist() == ["red", "blue"]
    assert (points.shape, points.dtype) == ((4, 120, 2), np.float16)
    assert np.array_equal(y, graph.y.numpy())
    with torch.no_grad():
        seen = list(states(network.network, graph.x, graph.adjacency))
    for layer, state in enumerate(seen):  # distances do not know how a layer was turned
        expected = plane(state)
        found = torch.from_numpy(points[layer]).double()
        torch.testing.assert_close(torch.cdist(found, found), torch.cdist(expected, expected), atol=5e-3, rtol=5e-3)


def test_frames_do_not_turn_between_layers(settings: Compose, tmp_path: Path) -> None:
    chosen = settings("model=gcnii", "depth=6")
    dataset, _ = load(chosen.dataset)
    graph = make_batches(chosen, dataset).probe
    save_states(build_model(chosen, graph, make_task(chosen, dataset)).eval(), graph, tmp_path / "states.npz")
    points = np.load(tmp_path / "states.npz")["points"].astype(np.float64)
    for before, after in pairwise(points[1:]):
        for mirrored in (after * [1, -1], after * [-1, 1], -after):
            assert np.linalg.norm(after - before) <= np.linalg.norm(mirrored - before) + 1e-3


def test_a_node_that_a_rewiring_added_is_not_shown(settings: Compose, tmp_path: Path) -> None:
    chosen = settings("model=gcn", "depth=2", "rewiring=virtual_node")
    dataset, fingerprint = load(chosen.dataset)
    graph = rewire(dataset, fingerprint, chosen, tmp_path).graph
    save_states(build_model(chosen, graph, make_task(chosen, dataset)).eval(), graph, tmp_path / "states.npz")
    with np.load(tmp_path / "states.npz") as content:
        assert content["points"].shape == (3, 120, 2)
        assert np.array_equal(content["y"], dataset.y.numpy())


def test_a_run_keeps_them_where_it_is_asked_to(settings: Compose, tmp_path: Path) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=2", "tracking.artifacts=[states]")
    result = run(chosen)
    records = Records(chosen.tracking.store, "depthlab")
    copy = records.file(result.run_id, "states.npz", tmp_path)
    assert copy is not None
    assert np.load(copy)["points"].shape == (3, 120, 2)
    assert not list((tmp_path / "checkpoints").rglob("states.npz"))  # kept once, in the record

"""Layer by layer and a few rows at a time is the plain forward pass."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from depthlab.cli import explain
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import read
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.nn.base import NodeClassifier, Settings
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.gin import GIN
from depthlab.nn.layerwise import _on_disk
from depthlab.nn.residual_gcn import ResidualGCN

NODES, WIDTH, CLASSES = 130, 6, 3
KINDS = [
    (GCN, {}), (GCN, {"bias": True}), (ResidualGCN, {}), (ResidualGCN, {"bias": True, "skip": "linear"}),
    (GCNII, {}), (GCNII, {"alpha": 0.3, "identity_map": False}), (GCNII, {"star": True}),
]  # fmt: skip


@pytest.fixture
def large(tmp_path: Path) -> LargeGraph:
    knobs = {"nodes": NODES, "degree": 5.0, "features": WIDTH, "classes": CLASSES, "normalize_features": False}
    data = read(knobs | {"_target_": "depthlab.data.csbm.make_csbm"})
    assert isinstance(data, Dataset)
    rows = Neighbours.of(data.edge_index, NODES)
    return LargeGraph(data.x, rows, data.y, *data.parts("0"), scratch=tmp_path)


def make(kind: type[NodeClassifier], knobs: dict[str, object], depth: int = 4, norm: str = "none") -> NodeClassifier:
    """A network whose norms and biases do something."""
    torch.manual_seed(0)
    model = kind(Settings(WIDTH, CLASSES, depth, hidden=8, norm=norm, dropout=0.5), **knobs).eval()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("rows", [1 << 14, 37])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize(("kind", "knobs"), KINDS)
def test_equals_the_forward_pass(
    large: LargeGraph, monkeypatch: pytest.MonkeyPatch, kind: type[NodeClassifier], knobs: dict[str, object],
    norm: str, rows: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("depthlab.nn.layerwise.ROWS", rows)
    model = make(kind, knobs, norm=norm)
    assert model.layerwise
    torch.testing.assert_close(model.infer(large), model(large.x, large.adjacency).detach(), rtol=1e-4, atol=1e-5)
    assert list(large.scratch.iterdir()) == []


@pytest.mark.parametrize(("kind", "knobs"), KINDS)
def test_one_layer(large: LargeGraph, kind: type[NodeClassifier], knobs: dict[str, object]) -> None:
    model = make(kind, knobs, depth=1)
    torch.testing.assert_close(model.infer(large), model(large.x, large.adjacency).detach(), rtol=1e-4, atol=1e-5)


def test_states_lie_on_disk(large: LargeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make(GCN, {}), []
    plain = GCN.layer

    def spied(self: GCN, number: int, gathered: torch.Tensor, own: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        seen.append((number, len(gathered), len(own), len(first)))
        return plain(self, number, gathered, own, first)

    monkeypatch.setattr(GCN, "layer", spied)
    monkeypatch.setattr("depthlab.nn.layerwise.ROWS", 50)
    model.infer(large)
    assert seen == [(layer, rows, rows, rows) for layer in range(1, 5) for rows in (50, 50, 30)]
    large.scratch.rmdir()
    with pytest.raises(FileNotFoundError):
        model.infer(large)


@pytest.mark.parametrize(("kind", "norm"), [(GIN, "none"), (GCN, "pair")])
def test_others_are_evaluated_as_a_whole(large: LargeGraph, kind: type[NodeClassifier], norm: str) -> None:
    model = make(kind, {}, norm=norm)
    assert not model.layerwise
    torch.testing.assert_close(model.infer(large), model(large.x, large.adjacency).detach())


def test_a_state_has_its_room_before_it_is_written(large: LargeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, plain = [], tempfile.TemporaryFile

    def spied(**knobs: Any) -> Any:
        opened.append(plain(**knobs))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", spied)
    _on_disk(large, [(slice(0, 1), torch.ones(1, 5000))])  # of 130 rows
    assert os.fstat(opened[0].fileno()).st_blocks * 512 >= 4 * NODES * 5000


def test_a_state_without_room_ends_in_one_sentence(large: LargeGraph, no_room: None) -> None:
    with pytest.raises(OSError, match="File too large") as error:
        make(GCN, {}).infer(large)
    assert str(explain(error.value)).startswith(f"cannot write {large.scratch}, ")

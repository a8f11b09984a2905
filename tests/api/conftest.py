"""A small run, and a graph with labels."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub

import depthlab as dl
from depthlab.api.run import Run

SMALL: dict[str, Any] = {
    "model": "gcn", "depth": 3, "dataset": "csbm", "epochs": 5, "progress": False, "dataset.nodes": 120,
}  # fmt: skip
Train = Callable[..., Run]


@pytest.fixture
def train(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train a small network in an empty project."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))

    def call(**settings: Any) -> Run:
        return dl.train(**{**SMALL, "tracking.artifacts": ["model"], **settings})

    return call


@pytest.fixture
def karate() -> Data:
    """Zachary's karate club: 34 nodes with one-hot features, four classes, four training nodes."""
    data = KarateClub()[0]
    assert isinstance(data, Data)
    return data


@pytest.fixture
def fitted(karate: Data) -> torch.nn.Module:
    """A PyG GCN with two layers, trained on the karate club."""
    from torch_geometric.nn.models import GCN

    torch.manual_seed(0)
    network = GCN(34, 16, 2, 4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        output = network(karate.x, karate.edge_index)[karate.train_mask]
        torch.nn.functional.cross_entropy(output, karate.y[karate.train_mask]).backward()
        optimizer.step()
    return network

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from depthlab.config.errors import DamagedError
from depthlab.data import rewired_edges as module
from depthlab.data.rewired_edges import RewiredEdges
from depthlab.files import load_torch, save_torch
from tests.unpickling import Marker

EDGES = torch.tensor([[0, 1, 1, 2, 2, 4], [1, 0, 2, 1, 4, 2]])
REWIRED = RewiredEdges(EDGES, 5, {"edges_added": 2, "homophily_added": 0.5})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "rewired" / "a-b-c.pt"
    REWIRED.save(path, "made from this")
    return path


def test_what_is_saved_comes_back(saved: Path) -> None:
    loaded = RewiredEdges.load(saved, "made from this")
    assert loaded is not None
    assert torch.equal(loaded.edge_index, EDGES)
    assert (loaded.num_nodes, loaded.statistics) == (5, REWIRED.statistics)
    assert json.loads(saved.with_suffix(".json").read_text()) == REWIRED.statistics


def test_a_graph_without_edges(tmp_path: Path) -> None:
    replace(REWIRED, edge_index=EDGES[:, :0]).save(tmp_path / "a.pt", "x")
    loaded = RewiredEdges.load(tmp_path / "a.pt", "x")
    assert loaded is not None and loaded.edge_index.shape == (2, 0)


def test_an_effect_without_a_value_is_null_as_json(tmp_path: Path) -> None:
    replace(REWIRED, statistics={"homophily_added": math.nan}).save(tmp_path / "a.pt", "x")
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {"homophily_added": None}
    loaded = RewiredEdges.load(tmp_path / "a.pt", "x")
    assert loaded is not None and math.isnan(loaded.statistics["homophily_added"])


def test_a_missing_file_or_a_different_fingerprint_loads_nothing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RewiredEdges.load(saved.with_name("other.pt"), "made from this") is None
    assert RewiredEdges.load(saved, "made from that") is None
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert RewiredEdges.load(saved, "made from this") is None


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
def test_a_torn_file_ends_in_one_sentence(saved: Path, fraction: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(DamagedError, match=r"a-b-c\.pt is damaged \(.+\)$"):
        RewiredEdges.load(saved, "made from this")


def test_nothing_is_unpickled(saved: Path) -> None:
    marker = saved.parent / "executed"
    save_torch(load_torch(saved) | {"comment": Marker(marker)}, saved)
    with pytest.raises(DamagedError, match=r"is damaged \(UnpicklingError\)$"):
        RewiredEdges.load(saved, "made from this")
    assert not marker.exists()

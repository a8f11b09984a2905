import json
import math

import pytest
import torch
from torch import Tensor

from depthlab.graph import bottleneck
from depthlab.graph.bottleneck import bottleneck_statistics
from depthlab.measures.laplacian import ConvergenceError
from depthlab.measures.resistance import effective_resistance


def cycle(n: int) -> Tensor:
    one_way = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    return torch.cat([one_way, one_way.flip(0)], dim=1)


def test_a_ring() -> None:
    found = bottleneck_statistics(cycle(4), 4)
    assert found["balanced_forman"] == {"mean": 1.0, "min": 1.0}
    assert found["spectral_gap"] == pytest.approx({"whole": 1.0, "largest_component": 1.0})
    assert found["resistance"]["how"] == "edges by Foster's theorem, all pairs by a dense inverse"
    assert found["resistance"]["edges"] == pytest.approx(3 / 4)
    assert found["resistance"]["pairs"] == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)


def test_two_rings() -> None:
    both = torch.cat([cycle(3), cycle(12) + 3], dim=1)
    found = bottleneck_statistics(both, 15)
    assert found["balanced_forman"] == pytest.approx({"mean": 3 / 2 * 3 / 15, "min": 0.0})
    largest = 1 - math.cos(2 * math.pi / 12)
    assert found["spectral_gap"] == pytest.approx({"whole": 0.0, "largest_component": largest})
    mean = float(effective_resistance(both, 15, both).mean())
    assert found["resistance"]["edges"] == pytest.approx(mean)


def test_what_is_too_large_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottleneck, "PATHS", 19)
    found = bottleneck_statistics(cycle(10), 10)
    assert found["balanced_forman"] == {"skipped": "20 paths of two edges, more than 19"}
    assert found["resistance"]["edges"] == pytest.approx(9 / 10)
    monkeypatch.setattr(bottleneck, "PATHS", 20)
    monkeypatch.setattr(bottleneck, "EDGES", 9)
    found = bottleneck_statistics(cycle(10), 10)
    assert found["balanced_forman"] == {"mean": 0, "min": 0}
    assert found["resistance"] == found["spectral_gap"] == {"skipped": "10 edges, more than 9"}


def test_what_does_not_converge_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object) -> float:
        raise ConvergenceError("it is at most 0.1")

    monkeypatch.setattr(bottleneck, "largest_component_gap", endless)
    found = bottleneck_statistics(cycle(10), 10)
    assert found["spectral_gap"] == {"skipped": "it is at most 0.1"}
    assert found["resistance"]["edges"] == pytest.approx(9 / 10)


@pytest.mark.parametrize("n", [1, 3])
def test_without_edges_it_is_still_json(n: int) -> None:
    found = bottleneck_statistics(torch.empty(2, 0, dtype=torch.long), n)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["balanced_forman"] == {"mean": None, "min": None}
    assert found["resistance"]["edges"] is None

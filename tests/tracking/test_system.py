"""System metrics of a run."""

from typing import Any

import pytest

from depthlab.tracking import system
from depthlab.tracking.record import EpochRecord
from depthlab.tracking.system import FIRST, SystemMetrics


class Record(EpochRecord):
    """Has samples up to `known`."""

    def __init__(self, known: int = -1) -> None:
        self.resumed, self.known, self.sent = known >= 0, known, list[Any]()

    def last_step(self, metric: str) -> int:
        assert metric == FIRST
        return self.known

    def log(self, metrics: Any, step: int = 0) -> None:
        self.sent.append((step, metrics))


def test_a_short_run_has_one_sample() -> None:
    record = Record()
    SystemMetrics(record).stop()
    ((step, metrics),) = record.sent
    assert step == 0 and FIRST in metrics
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


def test_sampling_continues_after_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SECONDS", 0.01)
    record = Record(known=4)
    metrics = SystemMetrics(record)
    while len(record.sent) < 3:
        pass
    metrics.stop()
    assert [step for step, _ in record.sent] == list(range(5, 5 + len(record.sent)))
    assert not metrics._thread.is_alive()

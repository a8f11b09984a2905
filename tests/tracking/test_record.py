"""A run that combined records receive."""

from pathlib import Path
from typing import Any

import pytest

from depthlab.tracking.record import CombinedRecord, EpochRecord


class Remembers(EpochRecord):
    """Remembers its calls; has steps up to `known` already."""

    uri, experiment_id, location = "there", "1", "here"

    def __init__(self, known: int = -1, fails: bool = False) -> None:
        self.known, self.fails, self.calls, self.logger = known, fails, list[Any](), f"logger {known}"

    def last_step(self, metric: str) -> int:
        return self.known

    def log(self, metrics: Any, step: int = 0) -> None:
        self.calls.append((dict(metrics), step))

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.calls.append((name, *given))

    @staticmethod
    def fail(*_: Any) -> None:
        raise OSError("gone")

    def loggers(self) -> list[Any]:
        return [self.logger]

    def finish(self, status: str, outcome: str) -> None:
        self.calls.append(("finish", status, outcome))
        if self.fails:
            self.fail()


def test_a_record_of_another_rank_records_nothing() -> None:
    record = EpochRecord()
    record.log({"train_loss": 1.0}, 3)
    record.replay([{"train_loss": 1.0}])
    assert record.last_step("train_loss") == -1


def test_each_record_gets_its_missing_epochs() -> None:
    tracked: Any = Remembers(known=3)
    other: Any = Remembers()
    combined = CombinedRecord("n", "r", tracked, [other])
    combined.replay([{"train_loss": float(epoch)} for epoch in range(2)])
    for epoch in range(2, 6):
        combined.log_epoch({"train_loss": float(epoch)}, epoch)
    assert [step for _, step in tracked.calls] == [4, 5]
    assert [step for _, step in other.calls] == [0, 1, 2, 3, 4, 5]
    assert other.calls[5] == ({"epoch/train_loss": 5.0}, 5)


def test_only_mlflow_gets_files_and_all_records_get_the_rest(tmp_path: Path) -> None:
    tracked: Any = Remembers()
    other: Any = Remembers()
    combined = CombinedRecord("n", "r", tracked, [other])
    combined.text("t", "t.txt")
    combined.file(tmp_path)
    combined.figure(None, "f.png")  # type: ignore[arg-type]
    combined.log({"a": 1.0}, 2)
    combined.log_curve("layer/x", [1.0, 2.0])
    combined.tag({"verdict": "healthy"})
    combined.finish("FINISHED", "finished")
    assert [call[0] for call in tracked.calls[:3]] == ["text", "file", "figure"]
    assert tracked.calls[3:] == other.calls and len(other.calls) == 4
    assert (
        combined.loggers() == ["logger -1", "logger -1"] and combined.locations == ["here"] and combined.uri == "there"
    )


def test_without_mlflow_no_file_is_stored() -> None:
    other: Any = Remembers()
    combined = CombinedRecord("n", "local-1", None, [other])
    combined.text("t", "t.txt")
    assert (combined.uri, combined.keeps_files, other.calls) == ("", False, [])


def test_a_logger_that_fails_at_the_end_of_a_failed_run_does_not_hide_its_error() -> None:
    tracked: Any = Remembers()
    other: Any = Remembers(fails=True)
    combined = CombinedRecord("n", "r", tracked, [other])
    combined.abandon("FAILED", "failed", "an error")
    assert other.calls == [("tag", {"error": "an error"}), ("finish", "FAILED", "failed")]
    assert tracked.calls == [("abandon", "FAILED", "failed", "an error")]
    other.tag = Remembers.fail
    combined.abandon("FAILED", "failed", "an error")
    assert other.calls[-1] == ("finish", "FAILED", "failed") and len(tracked.calls) == 2
    with pytest.raises(OSError, match="gone"):
        combined.finish("FINISHED", "finished")

"""The interface through which training records a run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthlab.tracking.names import EPOCH, by_epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from depthlab.tracking.loggers import LoggerRecord
    from depthlab.tracking.run import TrackedRun

LOCAL = "local-"  # prefix of the ID of a run without MLflow


class EpochRecord:
    """Base class of records of a run. It records nothing itself: ranks other than the main one use it.

    Attributes:
        name, run_id: name and ID of the run.
        resumed: whether an earlier process has recorded part of the run.
    """

    name = run_id = ""
    resumed = False
    _known = -1

    def last_step(self, metric: str) -> int:
        """The last recorded step of a metric; -1 if there is none."""
        return -1

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at one step."""

    def replay(self, history: Sequence[Mapping[str, float]]) -> None:
        """Record the missing epochs of a restored history."""
        self._known = self.last_step(f"{EPOCH}train_loss") if history else -1
        for epoch in range(self._known + 1, len(history)):
            self.log(by_epoch(history[epoch]), epoch)

    def log_epoch(self, scores: Mapping[str, float], epoch: int) -> None:
        """Record the scores of an epoch unless it is recorded: a killed run may be ahead of its checkpoint."""
        if epoch > self._known:
            self.log(by_epoch(scores), epoch)

    def loggers(self) -> list[Any]:
        """Lightning loggers for the metrics of callbacks."""
        from depthlab.tracking.loggers import CallbackLogger

        return [CallbackLogger(self)]


class CombinedRecord(EpochRecord):
    """The record of a run in Lightning loggers, with or without MLflow.

    Args:
        name, run_id: name and ID of the run.
        tracked: the record in MLflow, the only one that stores files; None without MLflow.
        logger_records: the records in loggers.
    """

    def __init__(
        self, name: str, run_id: str, tracked: "TrackedRun | None", logger_records: "Sequence[LoggerRecord]"
    ) -> None:
        self.name, self.run_id, self.tracked, self.logger_records = name, run_id, tracked, list(logger_records)
        self.uri, self.experiment_id = (tracked.uri, tracked.experiment_id) if tracked else ("", "")
        self.keeps_files = tracked is not None
        self.locations = [location for record in logger_records if (location := record.location)]

    @property
    def _records(self) -> "list[TrackedRun | LoggerRecord]":
        return [*([self.tracked] if self.tracked else []), *self.logger_records]

    def replay(self, history: Sequence[Mapping[str, float]]) -> None:
        for record in self._records:
            record.replay(history)

    def log_epoch(self, scores: Mapping[str, float], epoch: int) -> None:
        for record in self._records:
            record.log_epoch(scores, epoch)

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        for record in self._records:
            record.log(metrics, step)

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Record a curve with step = layer 0, 1, ..., depth."""
        for record in self._records:
            record.log_curve(name, values)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        for record in self._records:
            record.tag(tags)

    def text(self, content: str, file: str) -> None:
        """Store a text artifact in MLflow."""
        if self.tracked:
            self.tracked.text(content, file)

    def figure(self, figure: "Figure", file: str, tight: bool = False) -> None:
        """Store a figure in MLflow."""
        if self.tracked:
            self.tracked.figure(figure, file, tight)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of a file in MLflow."""
        if self.tracked:
            self.tracked.file(path, folder)

    def loggers(self) -> list[Any]:
        own = [record.logger for record in self.logger_records]
        return [*(self.tracked.loggers() if self.tracked else []), *own]

    def finish(self, status: str, outcome: str) -> None:
        """Send everything and close the run; MLflow comes last, because its errors are raised."""
        for record in reversed(self._records):
            record.finish(status, outcome)

    def abandon(self, status: str, outcome: str, error: str = "") -> None:
        """Like `finish`, but raise no error, because another error is ending the run."""
        for record in self.logger_records:
            with suppress(Exception):  # loggers have their own error types
                record.tag({"error": error} if error else {})
            with suppress(Exception):
                record.finish(status, outcome)
        if self.tracked:
            self.tracked.abandon(status, outcome, error)

"""Reads recorded runs from the store."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthlab.address import Address, recordable
from depthlab.tracking.names import are_outdated
from depthlab.tracking.owner import OWNER, is_dead
from depthlab.tracking.sqlite import is_absent, read_runs
from depthlab.tracking.store import no_answer, open_store

if TYPE_CHECKING:
    from mlflow.entities import Run

LARGEST = 1.79e308
PAGE = 1000  # runs in one answer
ENDED = ("finished", "diverged")  # outcomes that are results
PARENT = "mlflow.parentRunId"  # MLflow's own tag: its UI folds a run below this one


@dataclass(frozen=True)
class Recorded:
    """A recorded run.

    Attributes:
        run_id, name, status: MLflow's own; status is `RUNNING`, `FINISHED`, `FAILED` or `KILLED`.
        tags: as recorded.
        metrics: the last value of each metric; of a curve by layer, that of the last layer.
        params: settings by dotted name, as text.
    """

    run_id: str
    name: str
    status: str
    tags: dict[str, str]
    metrics: dict[str, float]
    params: dict[str, str]

    @property
    def training_seconds(self) -> float:
        """Duration of all epochs, in seconds."""
        return (self.number("epochs_run") * self.number("seconds_per_epoch")) if "epochs_run" in self.tags else 0.0

    def number(self, name: str) -> float:
        """A number that is recorded as a tag; NaN if the run does not have it."""
        return float(self.tags.get(name, "nan"))

    @property
    def owner(self) -> str:
        """The process that records it (`depthlab.tracking.owner`); empty if unknown."""
        return self.tags.get(OWNER, "")

    @property
    def is_running(self) -> bool:
        """Whether its status is RUNNING and its process may be alive."""
        return self.status == "RUNNING" and not is_dead(self.owner)

    @property
    def is_result(self) -> bool:
        """Whether the run finished or diverged, and its metrics have the current names."""
        return self.tags.get("outcome") in ENDED and not self.outdated

    @property
    def outdated(self) -> bool:
        """Whether the metrics, or the tags of a study's parent run, have the names of an older version."""
        return are_outdated(self.metrics) or (self.tags.get("kind") == "study" and "method" not in self.tags)

    @property
    def identity(self) -> tuple[str, str]:
        """Hashes of the settings and of the data: two runs with the same hashes are the same experiment."""
        return self.tags.get("config_hash", ""), self.tags.get("data_hash", "")


def recorded_runs(uri: str, experiment: str) -> list[Recorded]:
    """All runs of an experiment, the oldest first, read without MLflow from an SQLite file; creates nothing.

    Raises:
        UserError: the store refuses or does not answer.
    """
    if (path := Address.of(uri).file) is None:
        return Records(uri, experiment, create=False).runs()
    return [] if not path.is_file() or is_absent(path) else list(map(_read, read_runs(path, experiment)))


class Records:
    """The runs of one experiment.

    Args:
        experiment: name of the experiment; None to look up single runs in any experiment.
        create: create database and experiment if they do not exist.

    Raises:
        UserError: the store refuses or does not answer; also in every method.
    """

    def __init__(self, uri: str, experiment: str | None, create: bool = True) -> None:
        self.uri, self.experiment = recordable(uri), experiment or ""
        self.client, self.experiment_id = open_store(self.uri, experiment, create)

    def runs(self, condition: str = "") -> list[Recorded]:
        """All runs that meet an MLflow filter such as `tags.kind = 'study'`, the oldest first."""
        runs: list[Recorded] = []
        token = None
        with self._store_errors():
            while True:
                page = self.client.search_runs(
                    [self.experiment_id], condition, max_results=PAGE, order_by=["start_time ASC"], page_token=token
                )
                runs += map(_recorded, page)
                token = page.token
                if not token:
                    return runs

    def run(self, run_id: str) -> Recorded | None:
        """The run with an id; None if there is none, or it was deleted."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise no_answer(self.uri, error) from None
        return _recorded(run) if run.info.lifecycle_stage == "active" else None

    def curve(self, run_id: str, metric: str) -> list[float]:
        """A metric's values in the order of their steps."""
        with self._store_errors():
            history = self.client.get_metric_history(run_id, metric)
        return [_infinite(point.value) for point in sorted(history, key=lambda point: point.step)]

    def steps(self, run_id: str, metric: str) -> set[int]:
        """The steps at which a metric was recorded."""
        with self._store_errors():
            return {point.step for point in self.client.get_metric_history(run_id, metric)}

    def file(self, run_id: str, name: str, folder: Path) -> Path | None:
        """A copy of an artifact in `folder`; None if the run has none of that name."""
        with self._store_errors():
            parent = name.rpartition("/")[0] or None
            if not any(entry.path == name for entry in self.client.list_artifacts(run_id, parent)):
                return None
            return Path(self.client.download_artifacts(run_id, name, str(folder)))

    def text(self, run_id: str, content: str, name: str) -> None:
        """Store a text artifact with a run that has ended."""
        with self._store_errors():
            self.client.log_text(run_id, content, name)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag."""
        with self._store_errors():
            self.client.set_tag(run_id, key, value)

    def close(self, run_id: str, outcome: str) -> None:
        """End a run that another process left open."""
        with self._store_errors():
            self.client.set_tag(run_id, "outcome", outcome)
            self.client.set_terminated(run_id, "KILLED")

    def delete(self, run_id: str) -> None:
        """Move a run to MLflow's trash, from which it can be restored."""
        with self._store_errors():
            self.client.delete_run(run_id)

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise no_answer(self.uri, error) from None


def _read(row: tuple[str, str, str, dict[str, str], dict[str, float], dict[str, str]]) -> Recorded:
    run_id, name, status, tags, metrics, params = row
    return Recorded(run_id, name, status, tags, {key: _infinite(value) for key, value in metrics.items()}, params)


def _recorded(run: "Run") -> Recorded:
    info, data = run.info, run.data
    metrics = {name: _infinite(value) for name, value in data.metrics.items()}
    return Recorded(info.run_id, info.run_name or "", info.status, dict(data.tags), metrics, dict(data.params))


def _infinite(value: float) -> float:
    """MLflow's databases store the largest float instead of infinity."""
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else value

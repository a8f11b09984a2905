"""One MLflow run: buffered metrics, curves by layer, artifacts, and a status that is set on purpose."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from src.address import Address, recordable
from src.database import first_line
from src.errors import ResumeError, UserError
from src.tracking.store import open_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 1000  # metrics in one request: MLflow's own limit
FLUSH_SECONDS = 5.0
ERROR_LENGTH = 500
PARAM_BATCH, PARAM_LENGTH = 100, 6000  # MLflow's limits; the whole config is an artifact anyway


class TrackedRun:
    """A run that is being recorded.

    Metrics are buffered and sent in batches: a call for every metric costs more than an epoch of a small network.
    While the store does not answer, they stay in the buffer; only `finish` insists.

    Args:
        uri, experiment: where to record.
        name: the run's name.
        params: flat settings.
        tags: what it is, for filtering.
        run_id: go on with this run instead of starting one.

    Raises:
        UserError: here and in every method that sends: the store does not take it.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        run_id: str | None = None,
    ) -> None:
        self.uri, self.name, self.resumed = recordable(uri), name, run_id is not None
        self.client, self.experiment_id = open_store(self.uri, experiment)
        self._buffer: list[Metric] = []
        self._flushed = time.monotonic()
        with self._answering():
            if run_id is None:
                run = self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
                self.run_id = str(run.info.run_id)
                values = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in params.items()]
                for start in range(0, len(values), PARAM_BATCH):
                    self.client.log_batch(self.run_id, params=values[start : start + PARAM_BATCH])
            else:
                self.run_id = run_id
                self.client.update_run(run_id, status="RUNNING")
                self.tag(tags)

    def last_step(self, metric: str) -> int:
        """The last step of a metric that the store already holds, -1 if none."""
        return max(self.steps(metric), default=-1)

    def steps(self, metric: str) -> set[int]:
        """The steps of a metric that the store already holds."""
        with self._answering():
            return {point.step for point in self.client.get_metric_history(self.run_id, metric)}

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at one step; sent with the next batch."""
        now = int(time.time() * 1000)
        self._buffer += [Metric(key, float(value), now, step) for key, value in metrics.items()]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            with contextlib.suppress(UserError):  # asked again later
                self.flush()

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Record a curve with step = position: layer 0, 1, ..., depth; what a resumed run holds already is not sent."""
        known = self.last_step(name) if self.resumed else -1
        for step, value in enumerate(values):
            if step > known:
                self.log({name: value}, step)

    def flush(self) -> None:
        """Send the buffer; what is not taken stays in it."""
        self._flushed = time.monotonic()
        with self._answering():
            while self._buffer:
                self.client.log_batch(self.run_id, metrics=self._buffer[:BATCH])
                del self._buffer[:BATCH]

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._answering():
            self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def text(self, content: str, file: str) -> None:
        """Store a text artifact."""
        with self._answering():
            self.client.log_text(self.run_id, content, file)

    def figure(self, figure: "Figure", file: str, tight: bool = False) -> None:
        """Store a Matplotlib figure as PNG; `tight` cuts it to what is drawn, which draws it once more."""
        with self._answering():
            self.client.log_figure(self.run_id, figure, file, save_kwargs={"bbox_inches": "tight"} if tight else None)

    def file(self, path: Path) -> None:
        """Store a copy of a file."""
        with self._answering():
            self.client.log_artifact(self.run_id, str(path))

    def finish(self, status: str, outcome: str) -> None:
        """Send what is left and close the run.

        Args:
            status: MLflow's own, `FINISHED`, `FAILED` or `KILLED`.
            outcome: ours: `finished`, `diverged`, `interrupted` or `failed`.
        """
        self.flush()
        self.tag({"outcome": outcome})
        with self._answering():
            self.client.set_terminated(self.run_id, status)

    def abandon(self, status: str, outcome: str, error: str = "") -> None:
        """`finish` as far as the store lets it: the error that ended the run is on its way up already."""
        with contextlib.suppress(UserError, OSError):
            if error:
                self.tag({"error": error[:ERROR_LENGTH]})
            self.finish(status, outcome)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise ResumeError(f"the run to go on with is not in {self.uri}: start it without ckpt") from None
            raise UserError(
                f"the tracking store {self.uri} does not take the run: {Address.of(self.uri).hide(first_line(error))};"
                " once it does, go on with the same command and ckpt=last"
            ) from None

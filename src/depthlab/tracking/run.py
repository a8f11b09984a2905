"""Records one MLflow run: metrics in batches, curves by layer, artifacts and the status."""

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthlab.address import Address, recordable
from depthlab.config.errors import ResumeError, UserError, full_disk
from depthlab.database import first_line
from depthlab.tracking.outbox import Outbox, Point
from depthlab.tracking.owner import OWNER, owner
from depthlab.tracking.record import EpochRecord
from depthlab.tracking.store import no_answer, open_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

HOLD_SECONDS = 2.0  # for which opening a run in the background waits for its first epoch
LAST_SECONDS = 30.0  # for which the end of a run retries a failing store
ABANDON_SECONDS = 10.0
ERROR_LENGTH = 500
PARAM_BATCH, PARAM_LENGTH = 100, 6000  # MLflow's limits; the whole config is an artifact anyway


class TrackedRun(EpochRecord):
    """A run that is being recorded.

    Only opening it and reading from it wait for the store. A thread sends everything else in order; `flush` and
    `finish` wait until all is sent. The thread may open a new run as well, since MLflow takes seconds to import: then
    `client`, `experiment_id` and `run_id` wait until it is open.

    Args:
        uri, experiment: where to record.
        name: the run's name.
        params: flat settings.
        tags: for filtering.
        run_id: resume this run instead of starting one.
        checkpoint: a file that has all records; the error names it if they cannot be sent.
        system_metrics: whether to record system metrics.
        background: whether the thread opens a new run, after the first metrics are put, or after `HOLD_SECONDS`.

    Raises:
        UserError: the store does not accept the run; also in every method that waits, and in `log`.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        run_id: str | None = None,
        checkpoint: Path | None = None,
        system_metrics: bool = False,
        background: bool = False,
    ) -> None:
        self.keeps_files, self.locations = True, list[str]()
        self.uri, self.name, self.resumed = recordable(uri), name, run_id is not None
        self._checkpoint, self._experiment = checkpoint, experiment
        self._opened: tuple[MlflowClient, str, str] | None = None
        self._refused: UserError | None = None
        tags = {**tags, OWNER: owner()}
        hold = HOLD_SECONDS if background and run_id is None else 0.0
        self._outbox = Outbox(self._send, Address.of(self.uri).hide, self.uri, hold)
        if hold:
            self._outbox.put(lambda: self._open(lambda: self._create(params, tags)))
        else:
            self._open(lambda: self._resume(run_id, tags) if run_id else self._create(params, tags))
        self._system = None
        if system_metrics:
            from depthlab.tracking.system import SystemMetrics

            self._system = SystemMetrics(self)

    @property
    def client(self) -> "MlflowClient":
        return self._wait()[0]

    @property
    def experiment_id(self) -> str:
        return self._wait()[1]

    @property
    def run_id(self) -> str:  # type: ignore[override]
        return self._wait()[2]

    def _wait(self) -> "tuple[MlflowClient, str, str]":
        """Client, experiment and run, once they are open."""
        if self._opened is None:
            self._outbox.drain(LAST_SECONDS, until=lambda: self._opened is not None)
        assert self._opened
        return self._opened

    def _open(self, run: "Callable[[], tuple[MlflowClient, str, str]]") -> None:
        try:
            with self._store_errors():
                self._opened = run()
        except UserError as error:
            self._refused = error
            raise

    def _create(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> "tuple[MlflowClient, str, str]":
        client, experiment_id = open_store(self.uri, self._experiment)
        from mlflow.entities import Param

        run_id = str(client.create_run(experiment_id, run_name=self.name, tags=dict(tags)).info.run_id)
        values = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in params.items()]
        for start in range(0, len(values), PARAM_BATCH):
            client.log_batch(run_id, params=values[start : start + PARAM_BATCH])
        return client, experiment_id, run_id

    def _resume(self, run_id: str, tags: Mapping[str, str]) -> "tuple[MlflowClient, str, str]":
        client, experiment_id = open_store(self.uri, self._experiment)
        from mlflow.entities import RunTag

        _check_exists(client, self.uri, run_id)
        run_tags = [RunTag(key, str(value)) for key, value in tags.items()]
        client.log_batch(run_id, tags=run_tags)  # first: others close a run of a dead owner
        client.update_run(run_id, status="RUNNING")
        return client, experiment_id, run_id

    def last_step(self, metric: str) -> int:
        """The last step of a metric in the store; -1 if there is none."""
        return max(self.steps(metric), default=-1)

    def steps(self, metric: str) -> set[int]:
        """The steps of a metric in the store."""
        with self._store_errors():
            return {point.step for point in self.client.get_metric_history(self.run_id, metric)}

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at one step; sent with the next batch."""
        if self._refused:
            raise self._refused
        now = int(time.time() * 1000)
        self._outbox.put(*(Point(key, float(value), now, step) for key, value in metrics.items()))

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Record a curve with step = layer 0, 1, ..., depth; a resumed run sends only what the store does not have."""
        known = self.last_step(name) if self.resumed else -1
        for step, value in enumerate(values):
            if step > known:
                self.log({name: value}, step)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        values = {key: str(value) for key, value in tags.items()}

        def send() -> None:
            from mlflow.entities import RunTag

            self.client.log_batch(self.run_id, tags=[RunTag(*pair) for pair in values.items()])

        self._outbox.put(send)

    def dataset(self, name: str, digest: str, source_type: str, source: str, context: str) -> None:
        """Record the dataset of the run like `mlflow.log_input`, but without its data.

        Args:
            name, digest: name of the dataset, and a hash of its content of at most 36 characters.
            source_type, source: `local` and a path, or `code` and the dotted name of a function.
            context: how the run uses it.
        """
        keys = {"local": {"uri": source}, "code": {"tags": {"mlflow.source.name": source}}}

        def send() -> None:
            from mlflow.entities import Dataset, DatasetInput, InputTag
            from mlflow.exceptions import MlflowException

            entity = Dataset(name, digest, source_type, json.dumps(keys[source_type]))
            used = DatasetInput(entity, [InputTag("mlflow.data.context", context)])
            try:
                self.client.log_inputs(self.run_id, datasets=[used])
            except MlflowException as error:  # another run may have recorded this dataset at the same moment
                if "unique constraint" not in str(error).lower():
                    raise
                self.client.log_inputs(self.run_id, datasets=[used])

        self._outbox.put(send)

    def text(self, content: str, file: str) -> None:
        """Store a text artifact."""
        self._outbox.put(lambda: self.client.log_text(self.run_id, content, file))

    def figure(self, figure: "Figure", file: str, tight: bool = False) -> None:
        """Store a Matplotlib figure as PNG; `tight` crops it to its content, which draws it a second time."""
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", bbox_inches="tight" if tight else None)
        self._outbox.put(lambda: self._store(drawn.getvalue(), file))

    def file(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of a file, which must exist until `finish`, in a folder of the artifacts."""
        self._outbox.put(lambda: self.client.log_artifact(self.run_id, str(path), folder))

    def flush(self) -> None:
        """Wait until everything is sent; after an error, records stay in the queue."""
        with self._store_errors():
            self._outbox.drain(LAST_SECONDS)

    def finish(self, status: str, outcome: str) -> None:
        """Send everything and close the run.

        Args:
            status: MLflow's own, `FINISHED`, `FAILED` or `KILLED`.
            outcome: tag with our own word, `finished`, `diverged`, `interrupted` or `failed`.
        """
        self._close(status, outcome)
        self.flush()
        self._outbox.close()

    def abandon(self, status: str, outcome: str, error: str = "") -> None:
        """`finish` that raises no error of the store: it is called while another error ends the run."""
        if error:
            self.tag({"error": error[:ERROR_LENGTH]})
        self._close(status, outcome)
        with contextlib.suppress(Exception):  # errors of the store have no common type
            self._outbox.drain(ABANDON_SECONDS, patient=False)
        self._outbox.close()

    def _close(self, status: str, outcome: str) -> None:
        if self._system:
            self._system.stop()
        self.tag({"outcome": outcome})
        self._outbox.put(lambda: self.client.set_terminated(self.run_id, status))

    def _send(self, points: list[Point]) -> None:
        from mlflow.entities import Metric

        self.client.log_batch(self.run_id, metrics=[Metric(*point) for point in points])

    def _store(self, content: bytes, file: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            path.write_bytes(content)
            self.client.log_artifact(self.run_id, str(path))

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # an invalid answer of a server raises any error of its parser
            if isinstance(error, UserError) or full_disk(error):
                raise
            reason = Address.of(self.uri).hide(first_line(error))
            again = "once it does, start the same command again"
            if self._checkpoint and self._checkpoint.is_file():
                again = (
                    f"its records are in {self._checkpoint}; once the store takes them, start the same command with"
                    " ckpt=last to send them (a study needs no ckpt)"
                )
            raise UserError(f"the tracking store {self.uri} does not accept the run: {reason}; {again}") from None


def check_run(uri: str, experiment: str, run_id: str) -> None:
    """Raise ResumeError if a run that is to be resumed is not in the store, or was deleted."""
    client, _ = open_store(uri, experiment)
    _check_exists(client, recordable(uri), run_id)


def _check_exists(client: "MlflowClient", uri: str, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        stage = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise no_answer(uri, error) from None
        raise ResumeError(f"the run to resume is not in {uri}: start it without ckpt") from None
    if stage == "deleted":
        raise ResumeError(f"the run to resume, {run_id}, was deleted in MLflow: start it without ckpt")

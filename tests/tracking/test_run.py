"""A recorded run is read with MLflow's own client."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.tracking import outbox
from depthlab.tracking import run as module
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.tracking.store import open_store
from tests.tracking.conftest import Start


def history(run: TrackedRun, name: str) -> dict[int, float]:
    points = MlflowClient(run.uri).get_metric_history(run.run_id, name)
    found = {point.step: point.value for point in points}
    assert len(found) == len(points), "a step was recorded twice"
    return found


def test_name_params_and_tags(start: Start) -> None:
    params = {f"p{number}": number for number in range(250)} | {"none": None, "long": "x" * 7000}
    run = start(params=params, dataset="cora", seed="0")
    stored = MlflowClient(run.uri).get_run(run.run_id)
    assert (stored.info.run_name, stored.info.status) == ("cora-gcn-d2-s0", "RUNNING")
    assert stored.info.experiment_id == open_store(run.uri, "mine")[1]
    expected = {key: str(value) for key, value in params.items()} | {"long": "x" * 6000}
    assert stored.data.params == expected
    assert stored.data.tags.items() >= {"dataset": "cora", "seed": "0"}.items()


def test_more_metrics_than_fit_in_one_request(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start()
    send, sizes = run.client.log_batch, []

    def counted(run_id: str, metrics: list[Any]) -> None:
        sizes.append(len(metrics))
        send(run_id, metrics=metrics)

    monkeypatch.setattr(run.client, "log_batch", counted)
    for epoch in range(1250):
        run.log({"loss": 1 / (1 + epoch), "acc": epoch}, epoch)
    run.flush()
    assert sizes == [1000, 1000, 500]  # the limit of a server
    assert history(run, "loss") == {epoch: 1 / (1 + epoch) for epoch in range(1250)}
    assert history(run, "acc") == {epoch: epoch for epoch in range(1250)}


def test_metrics_are_sent_after_some_seconds(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 1.0)
    run = start()
    run.log({"loss": 1.0}, 0)
    run.log({"loss": 0.5}, 1)
    assert history(run, "loss") == {}
    wait_until(lambda: history(run, "loss") == {0: 1.0, 1: 0.5})


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


class _Failing:
    """Stands in for `log_batch`: fails at the calls whose numbers are given."""

    def __init__(self, real: Callable[..., Any], fail_at: set[int]) -> None:
        self.real, self.fail_at, self.calls = real, fail_at, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls in self.fail_at:
            raise MlflowException("the server\nis away")
        return self.real(*args, **kwargs)


@pytest.mark.parametrize("fail_at", [{1}, {2}, {1, 2, 3}])
def test_nothing_is_lost_while_the_store_is_away(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fail_at: set[int],
) -> None:
    for name in ("FLUSH_SECONDS", "FIRST_PAUSE", "PAUSE_AT_END"):
        monkeypatch.setattr(outbox, name, 0.01)
    run = start()
    failing = _Failing(run.client.log_batch, fail_at)
    monkeypatch.setattr(run.client, "log_batch", failing)
    for epoch in range(1500):
        run.log({"loss": epoch}, epoch)
    wait_until(lambda: failing.calls > max(fail_at))
    for epoch in range(1500, 1504):
        run.log({"loss": epoch}, epoch)
    run.finish("FINISHED", "finished")
    assert history(run, "loss") == {epoch: epoch for epoch in range(1504)}
    assert capsys.readouterr().err.splitlines() == [
        f"the tracking store {run.uri} does not answer (the server): the run continues and sends its records later"
    ]


def test_flush_raises_an_error_and_keeps_what_is_not_sent(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.1)
    monkeypatch.setattr(outbox, "PAUSE_AT_END", 0.05)
    run = start(checkpoint=tmp_path / "last.ckpt")
    run.log({"loss": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(run.client, "log_batch", _Failing(run.client.log_batch, set(range(999))))
        sentence = f"^the tracking store {run.uri} does not accept the run: the server; "
        with pytest.raises(UserError, match=f"{sentence}once it does, start the same command again$"):
            run.flush()
        (tmp_path / "last.ckpt").touch()
        with pytest.raises(UserError, match=f"{sentence}its records are in .*last.ckpt; .* ckpt=last to send them"):
            run.flush()
    run.flush()
    assert history(run, "loss") == {0: 1.0}


def test_records_do_not_wait_for_a_store_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.01)
    run = start()
    answer, asked, real = threading.Event(), threading.Event(), run.client.log_batch

    def slow(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        answer.wait(60)
        return real(*args, **kwargs)

    monkeypatch.setattr(run.client, "log_batch", slow)
    run.log({"loss": 0.0}, 0)
    assert asked.wait(60)
    began = time.monotonic()
    for epoch in range(1, 1000):
        run.log({"loss": epoch}, epoch)
    run.tag({"a": "b"})
    run.text("c", "d.txt")
    assert time.monotonic() - began < 5
    answer.set()
    run.finish("FINISHED", "finished")
    assert len(history(run, "loss")) == 1000


@pytest.mark.slow  # it waits for ten seconds
def test_pauses_grow_and_start_at_the_end_of_a_try(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"FLUSH_SECONDS": 0.01, "FIRST_PAUSE": 0.02, "LONGEST_PAUSE": 0.08}.items():
        monkeypatch.setattr(outbox, name, seconds)
    run = start()
    began, ended = list[float](), list[float]()

    def hanging(*_: Any, **__: Any) -> None:
        began.append(time.monotonic())
        time.sleep(0.03)
        ended.append(time.monotonic())
        raise MlflowException("timed out")

    monkeypatch.setattr(run.client, "log_batch", hanging)
    run.log({"loss": 0.0})
    wait_until(lambda: len(began) == 5)
    run.abandon("KILLED", "interrupted")
    pauses = [after - before for after, before in zip(began[1:5], ended, strict=False)]
    for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.08), strict=True):
        assert least <= pause


@pytest.mark.parametrize(("status", "outcome"), [("FINISHED", "diverged"), ("KILLED", "interrupted")])
def test_finish(start: Start, status: str, outcome: str) -> None:
    run = start(outcome="running")
    run.log({"loss": 1.0}, 4)
    run.finish(status, outcome)
    stored = MlflowClient(run.uri).get_run(run.run_id)
    assert (stored.info.status, stored.data.tags["outcome"]) == (status, outcome)
    assert stored.info.end_time is not None
    assert history(run, "loss") == {4: 1.0}


def test_abandon_is_silent_while_the_store_is_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABANDON_SECONDS", 0.1)
    run = start(outcome="running")
    with monkeypatch.context() as patch:
        patch.setattr(run.client, "log_batch", _Failing(run.client.log_batch, set(range(999))))
        run.log({"loss": 1.0})
        run.abandon("FAILED", "failed")
        assert MlflowClient(run.uri).get_run(run.run_id).data.tags["outcome"] == "running"
    monkeypatch.setattr(module, "ABANDON_SECONDS", 60.0)
    run.abandon("FAILED", "failed")
    stored = MlflowClient(run.uri).get_run(run.run_id)
    assert (stored.info.status, stored.data.tags["outcome"]) == ("FAILED", "failed")
    assert history(run, "loss") == {0: 1.0}


@pytest.mark.parametrize(
    ("method", "call"),
    [("log_text", lambda run: run.text("a", "b")), ("log_artifact", lambda run: run.figure(Figure(), "b.png")),
     ("log_artifact", lambda run: run.file(Path(__file__))), ("log_batch", lambda run: run.tag({"a": "b"})),
     ("get_metric_history", lambda run: run.last_step("loss")),
     ("set_terminated", lambda run: run.finish("FINISHED", "finished"))],
)  # fmt: skip
@pytest.mark.parametrize("error", [MlflowException("the server\nis away"), ValueError("the server")])
def test_every_error_of_the_store_is_one_sentence(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: Callable[[TrackedRun], Any],
    error: Exception,
) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.1)
    run = start()

    def failing(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(run.client, method, failing)
    with pytest.raises(UserError, match="does not accept the run: the server; once it does, start the same"):
        call(run)
        run.flush()


def test_a_deleted_run_is_not_retried(start: Start) -> None:
    run = start()
    run.client.delete_run(run.run_id)
    run.log({"loss": 1.0})
    began = time.monotonic()
    with pytest.raises(UserError, match=r"does not accept the run: .*deleted"):
        run.flush()
    assert time.monotonic() - began < module.LAST_SECONDS


def test_a_dataset_that_two_runs_record_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, send = start(), MlflowClient.log_inputs
    sent: list[str] = []

    def late(client: MlflowClient, *args: Any, **kwargs: Any) -> None:
        sent.append("once")
        if len(sent) == 1:
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id")
        send(client, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_inputs", late)
    run.dataset("club", "0123abcd", "local", "club", "split 0")
    run.flush()
    (found,) = run.client.get_run(run.run_id).inputs.dataset_inputs
    assert (found.dataset.name, len(sent), capsys.readouterr().err) == ("club", 2, "")


def test_artifacts(start: Start, tmp_path: Path) -> None:
    run = start()
    (tmp_path / "model.bin").write_bytes(os.urandom(5000))
    figure = Figure()
    figure.subplots().plot([1, 2])
    run.text("größe: 1\n", "config.yaml")
    run.figure(figure, "picture.png")
    run.file(tmp_path / "model.bin")
    run.flush()
    client = MlflowClient(run.uri)
    assert {item.path for item in client.list_artifacts(run.run_id)} == {"config.yaml", "picture.png", "model.bin"}
    folder = Path(client.download_artifacts(run.run_id, "", str(tmp_path)))
    assert (folder / "config.yaml").read_text() == "größe: 1\n"
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model.bin").read_bytes() == (tmp_path / "model.bin").read_bytes()
    assert (tmp_path / "mlartifacts").is_dir()


def test_resuming_a_run(start: Start) -> None:
    first = start(outcome="running", seed="0")
    assert first.last_step("loss") == -1
    first.log({"loss": 1.0}, 7)
    first.finish("KILLED", "interrupted")
    second = start(run_id=first.run_id, outcome="running")
    assert second.run_id == first.run_id
    assert second.last_step("loss") == 7
    stored = MlflowClient(second.uri).get_run(first.run_id)
    assert stored.info.status == "RUNNING"
    assert stored.data.tags.items() >= {"outcome": "running", "seed": "0"}.items()
    second.log({"loss": 0.5}, 8)
    second.finish("FINISHED", "finished")
    assert history(second, "loss") == {7: 1.0, 8: 0.5}
    assert len(MlflowClient(second.uri).search_runs([second.experiment_id])) == 1


def test_resuming_a_run_that_does_not_exist(start: Start) -> None:
    with pytest.raises(UserError, match=r"^the run to resume is not in .*: start it without ckpt$"):
        start(run_id="0" * 32)


def test_a_run_opened_in_the_background_waits_for_its_first_metrics(records: Records) -> None:
    run = TrackedRun(records.uri, "mine", "name", {"depth": 2}, {"dataset": "cora"}, background=True)
    run.text("settings", "config.yaml")
    assert records.runs() == []
    run.log({"loss": 1.0}, 0)
    wait_until(lambda: bool(records.runs()))
    run.finish("FINISHED", "finished")
    (recorded,) = records.runs()
    assert (recorded.run_id, recorded.params, recorded.metrics) == (run.run_id, {"depth": "2"}, {"loss": 1.0})


def test_a_run_that_needs_its_id_is_opened_at_once(records: Records) -> None:
    run = TrackedRun(records.uri, "mine", "name", {}, {}, background=True)
    assert records.run(run.run_id) is not None
    run.abandon("KILLED", "interrupted")


def test_a_store_that_refuses_a_run_in_the_background_ends_the_training(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    MlflowClient(records.uri).delete_experiment(records.experiment_id)
    run = TrackedRun(records.uri, "mine", "name", {}, {}, background=True)
    run.log({"loss": 1.0}, 0)
    wait_until(lambda: run._refused is not None)
    with pytest.raises(UserError, match="the experiment mine was deleted"):
        run.log({"loss": 1.0}, 1)
    with pytest.raises(UserError, match="the experiment mine was deleted"):
        _ = run.run_id
    run.abandon("FAILED", "failed")
    assert records.uri not in capsys.readouterr().err  # nothing is said again at the end

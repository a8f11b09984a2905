"""A tracking server that answers late, never, or with rubbish: training continues, and all records arrive."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from pytorch_lightning.callbacks import Callback

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.tracking import outbox
from depthlab.tracking import run as tracked_run
from depthlab.training.callbacks import Recorder
from depthlab.training.identity import LAST, checkpoint_folder
from depthlab.training.run import run
from tests.tracking_server import Server, tracking_server

Tally = Callable[[str, bool], None]
EPOCHS = 60
SMALL = (
    "dataset=csbm", "dataset.nodes=120", "progress=false", "trainer.threads=1", "model=gcn", "depth=2",
    f"epochs={EPOCHS}", f"patience={EPOCHS}", "checkpoint_every=10", "measures=[]",
)  # fmt: skip


@pytest.fixture
def server(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(tracked_run, "LAST_SECONDS", 4.0)
    monkeypatch.setattr(tracked_run, "ABANDON_SECONDS", 0.5)
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    database = Path(shutil.copy(empty_store, tmp_path / "served.db"))
    with tracking_server(database, monkeypatch) as running:
        yield running


def settings(server: Server, *typed: str) -> Settings:
    found = compose_settings([*SMALL, *typed])
    found = found.with_tracking(uri=server.address)
    return found


class Breaking(Callback):
    """Changes the server's mode at an epoch, perhaps back at another, and takes the time of all epochs."""

    def __init__(self, server: Server, mode: str, back: int | None) -> None:
        self.server, self.mode, self.back, self.times = server, mode, back, list[float]()

    def __call__(self, epoch: int) -> None:
        self.times.append(time.monotonic())
        if epoch == 20:
            self.server.become(self.mode)
            time.sleep(0.2)  # the next try falls into it
        if epoch == self.back:
            self.server.become("works")


@pytest.fixture
def break_at(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int | None], Breaking]:
    def begin(mode: str, back: int | None) -> Breaking:
        breaking, real = Breaking(server, mode, back), Recorder.on_train_epoch_end

        def recorded(self: Recorder, trainer: Any, model: Any) -> None:
            real(self, trainer, model)
            breaking(trainer.current_epoch)

        monkeypatch.setattr(Recorder, "on_train_epoch_end", recorded)
        return breaking

    return begin


def everything_arrived(server: Server, database: Path, run_id: str) -> bool:
    client = MlflowClient(f"sqlite:///{database}")
    found = client.get_run(run_id)
    steps = [point.step for point in client.get_metric_history(run_id, "epoch/train_loss")]
    artifacts = {item.path for folder in ("", "model") for item in client.list_artifacts(run_id, folder)}
    return (
        sorted(steps) == list(range(EPOCHS))
        and found.info.status == "FINISHED"
        and found.data.tags["outcome"] == "finished"
        and "test_acc" in found.data.metrics
        and {"config.yaml", "provenance.yaml", "model/final.ckpt"} <= artifacts
    )


@pytest.mark.parametrize(("mode", "back"), [("late", None), ("never", 40), ("rubbish", 40), ("away", 59)])
def test_server_that_comes_back(
    server: Server,
    break_at: Callable[[str, int | None], Breaking],
    tmp_path: Path,
    tally: Tally,
    mode: str,
    back: int | None,
) -> None:
    breaking = break_at(mode, back)
    result = run(settings(server))
    tally(f"server {mode}, then back", everything_arrived(server, tmp_path / "served.db", result.run_id))
    assert breaking.times[-1] - breaking.times[20] < 10, "training waited for the server"


@pytest.mark.parametrize("mode", ["never", "rubbish", "away"])
def test_server_that_does_not_come_back(
    server: Server,
    break_at: Callable[[str, int | None], Breaking],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tally: Tally,
    mode: str,
) -> None:
    breaking = break_at(mode, None)
    checkpoint = checkpoint_folder(settings(server)) / LAST
    with pytest.raises(UserError, match=rf"its records are in {checkpoint}; .* the same command with ckpt=last to"):
        run(settings(server))
    assert len(breaking.times) == EPOCHS
    assert breaking.times[-1] - breaking.times[20] < 10, "training waited for the server"
    assert capsys.readouterr().err.count("does not answer") <= 1  # none where the first try that failed was the last
    server.become("works")
    result = run(settings(server, "ckpt=last"))
    tally(f"server {mode} to the end", everything_arrived(server, tmp_path / "served.db", result.run_id))
    assert not checkpoint.exists()

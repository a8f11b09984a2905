"""Two processes that train one network together, by the real command line."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.folders import CONF
from depthlab.training.identity import checkpoint_folder
from depthlab.training.place import Place
from depthlab.training.ranks import Helpers, Team, team_of
from depthlab.training.run import run
from tests.training.conftest import Compose, Train, command_line
from tests.training.test_command import client, wait_for_checkpoint, weights

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
PARTS = (
    "dataset=sbm_large", "dataset.nodes=900", "dataset.degree=6", "dataset.block_size=30", "dataset.features=8",
    "dataset.classes=3", "dataset.homophily=1.0", "loader=cluster", "loader.parts=30", "loader.batch_parts=7",
    "hidden=8", "progress=false", "tracking.artifacts=[config]",
)  # fmt: skip
GCN = ("model=gcn", "depth=3", "dropout=0", "patience=1000000")
DDP = ("trainer=ddp", "trainer.threads=1")


def followers(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that a run has started."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found if "depthlab.training.follow" in Path(f"/proc/{pid}/cmdline").read_text()]


def gone(pids: list[int]) -> bool:
    """Whether these end, within some seconds."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def start(workshop: Path, environment: dict[str, str], *typed: str) -> "subprocess.Popen[str]":
    command = command_line(*PARTS, *GCN, *DDP, *typed)
    return subprocess.Popen(
        command, cwd=workshop, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def curve(store: MlflowClient, run_id: str, name: str) -> list[float]:
    points = sorted(store.get_metric_history(run_id, name), key=lambda point: point.step)
    assert [point.step for point in points] == list(range(len(points)))
    return [point.value for point in points]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_processes_train_as_one_also_when_they_are_interrupted(
    settings: Compose, workshop: Path, environment: dict[str, str]
) -> None:
    """No part has an edge to another here: what is left of a difference is the order of sums."""
    alone = settings(*PARTS[:-2], *GCN, "epochs=60")
    one = run(alone)
    final = checkpoint_folder(alone) / "final.ckpt"
    expected = torch.load(final, weights_only=True)["state_dict"]
    final.unlink()

    process = start(workshop, environment, "epochs=60", "checkpoint_every=4")
    wait_for_checkpoint(process, workshop)
    others = followers(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "go on with the same command and ckpt=last" in errors and errors.count("\n") == 2
    assert len(others) == 1 and gone(others)

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command = [*torchrun, "-m", "src.train", *PARTS, *GCN, *DDP, "epochs=60", "ckpt=last"]
    done = subprocess.run(
        command, cwd=workshop, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished after 60 epochs") == 1

    again = weights(workshop)
    for name in expected:
        torch.testing.assert_close(again[name], expected[name], rtol=1e-3, atol=1e-4)
    store = client(workshop)
    (together,) = (run for run in store.search_runs(["1"]) if run.info.run_id != one.run_id)
    assert together.data.tags["outcome"] == "finished"
    for metric in ("train_loss", "val_loss", "val_acc"):
        wanted = curve(MlflowClient(one.uri), one.run_id, metric)
        assert curve(store, together.info.run_id, metric) == pytest.approx(wanted, rel=1e-3, abs=1e-4), metric
    assert together.data.metrics["test_acc"] == pytest.approx(one.scores["test_acc"])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_loss_of_a_process_ends_the_run_with_a_sentence(workshop: Path, environment: dict[str, str]) -> None:
    process = start(workshop, environment, "epochs=1000000", "checkpoint_every=4")
    wait_for_checkpoint(process, workshop)
    os.kill(followers(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.startswith("error: process 1 of the run failed: it was ended by signal 9") and errors.count("\n") == 1
    (recorded,) = client(workshop).search_runs(["1"])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("FAILED", "failed")


def test_what_fails_in_one_process_is_said_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*others: object) -> None:
        def gather(found: list[object], own: object) -> None:
            found[:] = [own, *others]

        monkeypatch.setattr("torch.distributed.all_gather_object", gather)

    team = Team(Place(count=2), Helpers({}, Place()))
    told((None, 3))
    assert team.agreed(lambda: 3, same=int) == 3
    told((None, 4))
    with pytest.raises(UserError, match=r"^process 1 has other settings, data or code than process 0: make them the s"):
        team.agreed(lambda: 3, same=int)
    told(("the disk is full", None))
    with pytest.raises(UserError, match=r"^process 1 of the run failed: the disk is full$"):
        team.agreed(lambda: 3, same=int)
    with pytest.raises(ZeroDivisionError):  # its own
        team.agreed(lambda: 1 // 0, same=int)


def test_a_lost_connection_is_a_sentence() -> None:
    team = Team(Place(count=2), Helpers({}, Place()))
    reason = r"^another process of the run has ended, .*\(NCCL error: Duplicate GPU detected\): .* ckpt=last$"
    with pytest.raises(UserError, match=reason), team.hearing():
        raise RuntimeError("NCCL error: Duplicate GPU detected\nException raised from ...")
    with pytest.raises(RuntimeError, match="defect"), team.hearing():
        raise RuntimeError("a defect")


def test_where_the_loss_of_a_process_goes_unnoticed_it_is_watched_and_its_reason_said(
    settings: Compose, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = threading.Event()
    monkeypatch.setattr("depthlab.training.ranks.GRACE", 0.0)
    monkeypatch.setattr("depthlab.training.ranks.os._exit", lambda code: ended.set())
    helpers = Helpers({}, Place())
    failing = [sys.executable, "-c", "import sys; print('the disk is full'); sys.exit(1)"]
    helpers.processes.append(subprocess.Popen(failing, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    helpers.watch()
    assert ended.wait(30)
    helpers.close()
    assert capsys.readouterr().err == "error: process 1 of the run failed: the disk is full\n"

    monkeypatch.setattr(Helpers, "watch", lambda _: pytest.fail("Gloo notices a loss by itself"))
    with team_of(Place(), settings(*PARTS, *DDP, "trainer.devices=1")) as team:
        assert team is not None


def test_each_process_works_on_its_gpu_before_the_first_word(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr("torch.cuda.set_device", done.append)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("depthlab.training.ranks._store", lambda *_: None)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_, **how: done.append(how["device_id"]))
    chosen = settings(*PARTS, *DDP)
    chosen["trainer"]["accelerator"] = "gpu"
    with team_of(Place(number=1, count=2, local=1), chosen) as team:
        assert team is not None and team.place.local == 1
    assert done == [1, torch.device("cuda", 1)]


def test_processes_that_never_come_are_not_waited_for(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.training.ranks.MEET", timedelta(seconds=1))
    monkeypatch.setattr("depthlab.training.ranks.RUNS", itertools.count())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = Place(count=2, port=port, launcher="srun")
    with (
        pytest.raises(UserError, match=rf"^the 2 processes of the run did not meet at 127\.0\.0\.1:{port} "),
        team_of(place, settings(*PARTS, *DDP)),
    ):
        pass


@pytest.mark.slow
def test_every_trainer_trains_from_the_command_line(train: Train, workshop: Path) -> None:
    names = sorted(path.stem for path in (CONF / "trainer").glob("*.yaml"))
    done = train(*PARTS, *GCN, "epochs=1", f"trainer={','.join(names)}", "-m")
    assert done.returncode == 0, done.stderr
    runs = client(workshop).search_runs(["1"])
    assert {run.data.tags["outcome"] for run in runs} == {"finished"}
    assert len(runs) == len(names)
    assert {run.data.params["trainer.strategy"] for run in runs} == {"single", "ddp"}


def test_every_parameter_of_every_model_takes_part(settings: Compose) -> None:
    """Lightning's DDP waits for the gradient of each; one process is enough to see that it comes."""
    for model in MODELS:
        small = (f"model={model}", "depth=2", "epochs=2", "trainer.devices=1", "dropout=0", "measures=[]")
        assert run(settings(*PARTS[:-2], *DDP, *small)).outcome == "finished", model  # with dropout ACMP may overflow

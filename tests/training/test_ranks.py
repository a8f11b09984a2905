"""Several processes that train one network: started by torchrun, or one process with the variables of a launcher."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.config.schema import TrainerSettings
from depthlab.training import ranks
from depthlab.training.identity import LAST, checkpoint_folder
from depthlab.training.ranks import (
    check_ranks,
    check_same,
    cluster_environment,
    is_main,
    launcher,
    local_rank,
    main_rank_prints,
    process_group,
)
from depthlab.training.run import run, train_only
from tests.settings import ARCHITECTURES
from tests.training.conftest import Compose
from tests.training.test_command import client, wait_for_checkpoint, weights

PARTS = (
    "dataset=sbm_large", "dataset.nodes=900", "dataset.degree=6", "dataset.block_size=30", "dataset.features=8",
    "dataset.classes=3", "dataset.homophily=1.0", "loader=cluster", "loader.parts=30", "loader.batch_parts=15",
    "hidden=8", "progress=false", "tracking.artifacts=[config]",
)  # fmt: skip
GCN = ("model=gcn", "depth=3", "dropout=0", "lr=0.003")
DDP = TrainerSettings("cpu", None, "float32", "ddp", devices=2, num_nodes=1)
ONE = replace(DDP, strategy="single", devices=1)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
SLURM = {
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_ID": "1234", "SLURM_NODELIST": "node[3-4]", "SLURM_JOB_NAME": "depth",
}  # fmt: skip
Started = Callable[..., None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Sets the variables of a launcher, and no others of it."""

    def begin(variables: dict[str, str], **changes: str) -> None:
        for name in (*TORCHRUN, *SLURM, "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in (variables | changes).items():
            monkeypatch.setenv(name, value)

    return begin


@pytest.fixture
def alone(started: Started) -> Iterator[Callable[[], None]]:
    """Makes this process the only rank of torchrun, with a port of its own."""

    def end() -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def begin() -> None:
        end()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        one = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "1") | dict.fromkeys(("RANK", "LOCAL_RANK"), "0")
        started(TORCHRUN, **one, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)

    yield begin
    end()


def torchrun(
    workshop: Path, environment: dict[str, str], *typed: str, command: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Two ranks of `src.train` with what is typed, or of another command."""
    train = ["-m", "src.train", *PARTS, *GCN, "trainer=ddp", "trainer.threads=1", *typed]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *(command or train)],
        cwd=workshop, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def processes_of(process: "subprocess.Popen[str]") -> dict[int, int]:
    """The process id of every rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {pid: Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in children}
    return {
        number: int(pid) for pid, variables in found.items() for number in range(2) if f"RANK={number}" in variables
    }


def gone(pid: int) -> bool:
    """Whether a process ends, within half a minute."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not Path(f"/proc/{pid}").exists()


def curve(store: MlflowClient, run_id: str, name: str) -> list[float]:
    points = sorted(store.get_metric_history(run_id, name), key=lambda point: point.step)
    assert [point.step for point in points] == list(range(len(points)))
    return [point.value for point in points]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_ranks_train_as_one_process_also_when_they_are_interrupted(
    settings: Compose, workshop: Path, environment: dict[str, str]
) -> None:
    """No part has an edge to another here: what is left of a difference is the order of sums."""
    typed = ("epochs=1000", "monitor=val_acc", "patience=20")
    one_process = settings(*PARTS[:-2], *GCN, *typed)
    one = run(one_process)
    assert 21 < one.statistics["epochs_run"] < 1000
    final = checkpoint_folder(one_process) / "final.ckpt"
    expected = torch.load(final, weights_only=True)["state_dict"]
    final.unlink()

    process = torchrun(workshop, environment, *typed, "checkpoint_every=4")
    wait_for_checkpoint(process, workshop)
    both = processes_of(process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert "finished" not in output
    assert errors.count("go on with the same command and ckpt=last") == 1, errors
    assert len(both) == 2 and all(map(gone, both.values()))
    store = client(workshop)
    (two,) = (found for found in store.search_runs(["1"]) if found.info.run_id != one.run_id)
    assert (two.info.status, two.data.tags["outcome"]) == ("KILLED", "interrupted")

    process = torchrun(workshop, environment, *typed, "ckpt=last")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output.count(f"finished after {one.statistics['epochs_run']:.0f} epochs") == 1

    again = weights(workshop)
    for name in expected:
        torch.testing.assert_close(again[name], expected[name], rtol=1e-3, atol=1e-4)
    two = store.get_run(two.info.run_id)
    assert two.data.tags["outcome"] == "finished"
    for metric in ("epoch/train_loss", "epoch/val_loss", "epoch/val_acc"):
        wanted = curve(MlflowClient(one.uri), one.run_id, metric)
        assert curve(store, two.info.run_id, metric) == pytest.approx(wanted, rel=1e-3, abs=1e-4), metric
    assert two.data.metrics["test_acc"] == pytest.approx(one.scores["test_acc"])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_rank_ends_the_run_as_failed(workshop: Path, environment: dict[str, str]) -> None:
    process = torchrun(workshop, environment, "epochs=1000000", "patience=1000000", "checkpoint_every=4")
    wait_for_checkpoint(process, workshop)
    both = processes_of(process)
    os.kill(both[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.count("the connection between the ranks failed: ") == 1, errors
    assert "RuntimeError" not in errors
    assert gone(both[0])
    (recorded,) = client(workshop).search_runs(["1"])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("FAILED", "failed")


@pytest.mark.slow
def test_an_error_of_one_rank_is_printed_by_that_rank(workshop: Path, environment: dict[str, str]) -> None:
    train = shlex.join([sys.executable, "-m", "src.train", *PARTS, *GCN, "trainer=ddp", "epochs=3"])
    script = f"exec {train} $([ $RANK = 1 ] && echo ckpt=last)"
    process = torchrun(workshop, environment, command=["--no-python", "bash", "-c", script])
    _, errors = process.communicate(timeout=120)
    assert errors.count("rank 1: error: there is no checkpoint ") == 1, errors
    assert errors.count("the connection between the ranks failed: ") == 1


@pytest.mark.slow
def test_an_error_of_all_ranks_is_printed_once(workshop: Path, environment: dict[str, str]) -> None:
    process = torchrun(workshop, environment, "depth=0")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output) == (1, "")
    assert errors.count("depth must be a whole number in [1, 100000], got 0") == 1
    assert "rank 1: " not in errors and "interrupted" not in errors


def test_without_a_launcher_there_is_one_process(started: Started) -> None:
    started({}, SLURM_PROCID="3", SLURM_NTASKS="4", RANK="3")  # of a batch job, of nothing
    assert (launcher(), local_rank(), is_main(DDP)) == (None, 0, True)
    check_ranks(ONE, [])


def test_torchrun_and_srun_number_the_processes(started: Started) -> None:
    started(TORCHRUN)
    assert (launcher(), local_rank(), is_main(DDP), is_main(ONE)) == ("torchrun", 1, False, True)
    assert isinstance(cluster_environment(), TorchElasticEnvironment)
    check_ranks(DDP, [])
    started(SLURM)
    assert (launcher(), local_rank(), is_main(DDP), is_main(ONE)) == ("srun", 1, False, True)
    environment = cluster_environment()
    assert isinstance(environment, SLURMEnvironment)
    assert (environment.global_rank(), environment.world_size(), environment.main_address) == (3, 4, "node3")
    check_ranks(replace(DDP, num_nodes=2), [])
    check_ranks(ONE, [])  # a worker of Dask is a task of srun with runs of its own


@pytest.mark.parametrize(
    ("trainer", "variables", "sentence"),
    [
        (DDP, {}, "trainer=ddp needs torchrun to start its 2 processes: type"
            " torchrun --nproc-per-node=2 -m src.train depth=4 'tracking.artifacts=[]'"),
        (replace(DDP, num_nodes=3), {}, "trainer=ddp needs torchrun to start its 6 processes: type on every machine"
            " torchrun --nnodes=3 --rdzv-backend=c10d --rdzv-endpoint=HOST:29400 --nproc-per-node=2 -m src.train"
            " depth=4 'tracking.artifacts=[]'"),
        (replace(DDP, devices=4), TORCHRUN, "torchrun started 2 processes, 2 on each machine; trainer.devices=4"
            " trainer.num_nodes=1 need 4, 4 on each: make the numbers equal"),
        (replace(DDP, devices=4), SLURM, "srun started 4 processes, 2 on each machine; trainer.devices=4"
            " trainer.num_nodes=1 need 4, 4 on each: make the numbers equal"),
        (ONE, TORCHRUN, "torchrun started 2 processes for a run of one: add trainer=ddp loader=cluster"),
    ],
)  # fmt: skip
def test_processes_that_do_not_fit(
    trainer: TrainerSettings, variables: dict[str, str], sentence: str, started: Started
) -> None:
    started(variables)
    with pytest.raises(UserError) as refused:
        check_ranks(trainer, ["depth=4", "tracking.artifacts=[]"])
    assert str(refused.value) == sentence


def test_srun_has_to_say_how_many_processes_a_machine_has(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    started(SLURM)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(UserError, match=r"^srun did not set .*: add --ntasks-per-node=\.\.\.$"):
        cluster_environment()


def test_a_rank_with_other_settings_data_or_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(identities: list[Any], own: Any) -> None:
        identities[:] = [own, {"data_hash": "b"}]

    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    check_same({"data_hash": "b"})
    with pytest.raises(UserError, match=r"^rank 1 has other settings, data or code than rank 0: use the same "):
        check_same({"data_hash": "a"})


def test_a_lost_connection_is_a_sentence_and_a_defect_is_none(alone: Callable[[], None]) -> None:
    lost = RuntimeError("[gloo/pair.cc:537] Read error [127.0.0.1]:1: Connection reset by peer. This is typically")
    trainer = replace(DDP, devices=1)
    sentence = r"^the connection between the ranks failed: .* reset by peer; read the errors .* ckpt=last$"
    alone()
    with pytest.raises(KeyboardInterrupt, match=sentence), process_group(trainer):
        raise lost
    alone()
    with pytest.raises(KeyboardInterrupt, match=sentence), process_group(trainer):
        try:
            raise lost
        finally:
            raise KeyboardInterrupt  # torchrun's SIGTERM
    alone()
    with pytest.raises(RuntimeError, match="a defect"), process_group(trainer):
        raise RuntimeError("a defect")
    alone()
    with process_group(trainer):
        assert torch.distributed.get_world_size() == 1
    assert not torch.distributed.is_initialized()


def test_a_rank_that_fails_alone_says_why(
    started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ranks, "end_on_signal", lambda: None)
    waited: list[float] = []
    monkeypatch.setattr("depthlab.training.ranks.time.sleep", waited.append)

    def end(code: int, *typed: str) -> None:
        with pytest.raises(SystemExit), main_rank_prints(typed):
            print("error: the disk is full", file=sys.stderr)
            sys.exit(code)

    started(TORCHRUN)
    for code in (0, 130):
        end(code, "trainer=ddp")
    assert (capsys.readouterr().err, waited) == ("", [])
    end(1, "trainer=ddp")
    assert (capsys.readouterr().err, waited) == ("rank 1: error: the disk is full\n", [ranks.GRACE])
    end(1)
    started(TORCHRUN, RANK="0")
    end(1, "trainer=ddp")
    assert (capsys.readouterr().err, len(waited)) == (2 * "error: the disk is full\n", 1)


@pytest.mark.slow
def test_every_parameter_of_every_model_takes_part(
    settings: Compose, alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's DDP waits for the gradient of each; one rank is enough to see that it comes."""
    monkeypatch.setattr("depthlab.training.run.end_on_signal", lambda: None)
    for model in ARCHITECTURES:
        alone()
        ddp = ("trainer=ddp", "trainer.devices=1", "epochs=2")
        small = settings(*PARTS[:-2], *ddp, f"model={model}", "depth=2", "dropout=0")  # with it ACMP may overflow
        folder = checkpoint_folder(small)
        folder.mkdir(parents=True)
        train_only(small)
        assert (folder / LAST).is_file(), model

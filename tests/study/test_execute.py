"""Cells one after another in this process and on a Dask cluster of this machine: what ends, fails and goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.errors import UserError
from src.study.execute import Done, Job, Stop, connect, execute
from src.study.grid import Cell
from src.train.identity import LAST, STATES, checkpoint_folder
from tests.study.conftest import CSBM, Start, Study

ONE = {"GCN": "model=gcn"}
LONG = ("depth=2", "epochs=400", "patience=400", "checkpoint_every=20")


def execute_here(cells: list[Cell], stop: Stop | None = None) -> list[Done]:
    return list(execute([Job(cell, {"study": "small"}) for cell in cells], 1, "loky", stop or Stop()))


def test_every_cell_is_run_in_order(study: Study) -> None:
    cells = study.cells("seed=0")
    done = execute_here(cells)
    assert [one.cell for one in done] == cells
    assert {one.outcome for one in done} == {"finished"}
    runs = study.records.runs()
    assert [run.tags["config_hash"] for run in runs] == [cell.hash for cell in cells]
    for one, run in zip(done, runs, strict=True):
        assert one.sentence == f"test {100 * run.metrics['test_acc']:.1f} %, {run.tags['verdict']}"
        assert one.seconds > 0
    assert {run.tags["study"] for run in runs} == {"small"}


def test_a_diverged_cell_is_a_result(study: Study) -> None:
    (done,) = execute_here(study.cells("lr=1e30", "seed=0", "depth=2", lines=ONE))
    assert (done.outcome, done.sentence) == ("diverged", "diverged")


def test_a_cell_that_fails_does_not_stop_the_others(study: Study) -> None:
    cells = study.cells("seed=0,1,2", "depth=2", lines=ONE)
    gone = str(study.folder / "gone.npz")
    cells[0].settings["dataset"] = {"name": "npz", "_target_": "src.data.heterophilous.read_npz", "path": gone}
    cells[1].settings["model"]["_target_"] = "src.models.gcn.Nothing"
    done = execute_here(cells)
    assert [one.outcome for one in done] == ["failed", "failed", "finished"]
    assert gone in done[0].sentence
    assert "Nothing" in done[1].sentence
    assert not any("\n" in one.sentence for one in done)


def test_after_a_stop_no_cell_begins(study: Study) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        done = execute([Job(cell, {}) for cell in study.cells("seed=0,1,2", "depth=2", lines=ONE)], 1, "loky", stop)
        next(done)
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert len(list(done)) <= 1  # the one that was handed out already
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_cell_goes_on_from_its_checkpoint(study: Study) -> None:
    cells = study.cells(*LONG, "seed=0,1", lines=ONE)
    last = checkpoint_folder(cells[0].settings) / LAST

    def press() -> None:
        deadline = time.monotonic() + 60
        while not last.is_file() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with Stop() as stop:
        (done,) = execute_here(cells, stop)
    thread.join()
    assert (done.cell, done.outcome) == (cells[0], "interrupted")
    assert stop.requested  # so the second cell did not begin
    (before,) = study.records.runs()

    assert [one.outcome for one in execute_here(cells)] == ["finished", "finished"]
    after = study.records.runs()
    assert [run.tags["config_hash"] for run in after] == [cell.hash for cell in cells]
    assert after[0].run_id == before.run_id
    steps = study.records.client.get_metric_history(before.run_id, "train_loss")
    assert sorted(point.step for point in steps) == list(range(400))


@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_a_checkpoint_that_belongs_elsewhere_does_not_stop_a_cell(study: Study, content: bytes) -> None:
    (cell,) = study.cells("depth=2", "seed=0", lines=ONE)
    folder = checkpoint_folder(cell.settings)
    folder.mkdir(parents=True)
    (folder / LAST).write_bytes(content)
    assert [one.outcome for one in execute_here([cell])] == ["finished"]
    assert not (folder / LAST).exists()


def test_a_film_cell_keeps_its_states(study: Study, tmp_path: Path) -> None:
    execute_here(study.cells("depth=2", "seed=0,1", lines=ONE, film={"seed": 1}))
    kept = [study.records.file(run.run_id, STATES, tmp_path) is not None for run in study.records.runs()]
    assert kept == [False, True]


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", scheduler_port=0
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(shop: Study, environment: dict[str, str]) -> Iterator[str]:
    """Address of a cluster of two processes beside the copy of the program."""
    (shop.folder / "cluster.py").write_text(CLUSTER)
    path = {**environment, "PYTHONPATH": str(shop.folder)}
    process = subprocess.Popen(
        [sys.executable, "cluster.py"], cwd=shop.folder, env=path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    try:
        process.communicate(timeout=30)  # closes its input
    finally:
        process.kill()


def test_a_study_on_dask_has_the_numbers_of_one_in_this_process(
    scheduler: str, shop: Study, start: Start, study: Study
) -> None:
    typed = ["depth=2,4", "seed=0,1", "epochs=5"]
    process = start("model=gcn", *CSBM, *typed, "name=small", "backend=dask", f"scheduler={scheduler}")
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "4 cells, 0 done, 4 to do" in out
    there = {run.identity: run for run in shop.finished().values()}
    assert len(there) == 4
    assert len(list((shop.folder / "results" / "small" / "lines").iterdir())) == 1

    assert study.run(study.cells(*typed, lines=ONE))
    assert {run.identity for run in study.finished().values()} == set(there)
    for run in study.finished().values():
        for name in ("test_acc", "best_val_loss", "dirichlet_energy"):
            assert there[run.identity].metrics[name] == pytest.approx(run.metrics[name], rel=1e-6), name


def test_dask_needs_a_scheduler() -> None:
    with pytest.raises(UserError, match=r"^backend=dask needs the address of a scheduler: scheduler=tcp://"):
        connect(None, "sqlite:///a.db")


def test_dask_with_nothing_listening() -> None:
    with pytest.raises(UserError, match=r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9: ") as error:
        connect("tcp://127.0.0.1:9", "sqlite:///a.db")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("workers", "sentence"), [(0, "has no workers: start some"), (1, "must have one thread: start it with")]
)
def test_dask_workers_that_cannot_be_used(workers: int, sentence: str) -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster,
        pytest.raises(UserError, match=sentence),
    ):
        connect(cluster.scheduler_address, "sqlite:///a.db")


def test_dask_workers_elsewhere_need_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        monkeypatch.setattr(Client, "run", lambda *_: {"a": "another machine"})
        with pytest.raises(UserError, match=r"on other machines cannot reach sqlite:///a\.db: give a server"):
            connect(address, "sqlite:///a.db")
        assert connect(address, "http://there:5000") == 1
        Client.current().close()

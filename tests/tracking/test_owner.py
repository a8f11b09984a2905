"""Whose a run is, and whether its process is alive, on this host and on another."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from depthlab.config.errors import UserError
from depthlab.tracking.close import close
from depthlab.tracking.owner import OWNER, describe, how_to_close, is_alive, is_dead, owner
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.tracking.store import open_store


def test_this_process_is_alive() -> None:
    assert is_alive(owner())
    assert not is_dead(owner())
    assert describe(owner()).startswith(f"process {psutil.Process().pid} on ")


def test_a_process_that_has_ended_is_dead_also_as_a_zombie() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, _, _ = owner().split()
    tag = f"{host} {process.pid} {psutil.Process(process.pid).create_time():.0f}"
    assert is_alive(tag)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert is_dead(tag)
    process.communicate()
    assert is_dead(tag)


def test_another_process_of_the_same_number_is_not_the_owner() -> None:
    host, pid, start = owner().split()
    assert is_dead(f"{host} {pid} {float(start) - 3600:.0f}")


@pytest.mark.parametrize("tag", ["node7/1 1 1", "", "somebody"])
def test_what_cannot_be_seen_is_neither_alive_nor_dead(tag: str) -> None:
    assert not is_alive(tag)
    assert not is_dead(tag)


@pytest.fixture
def records(tmp_path: Path, empty_store: Path) -> Records:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    open_store(uri, "depthlab")
    return Records(uri, "depthlab")


def test_a_run_is_closed_unless_its_process_is_at_work(records: Records) -> None:
    run_id = TrackedRun(records.uri, "depthlab", "a run", {}, {}).run_id
    assert records.runs()[0].tags[OWNER] == owner()
    with pytest.raises(UserError, match=f"^the run {run_id} is still running: stop process .* first$"):
        close(records, run_id)
    records.tag(run_id, OWNER, "node7/1 1 1")
    close(records, run_id)
    assert (records.runs()[0].status, records.runs()[0].tags["outcome"]) == ("KILLED", "interrupted")
    with pytest.raises(UserError, match="has ended already, with status KILLED"):
        close(records, run_id)
    records.delete(run_id)
    for gone in (run_id, "0" * 32, "nonsense"):
        with pytest.raises(UserError, match="there is no run"):
            close(records, gone)
    assert how_to_close("sqlite:///m.db", "1") == "depthlab close 1 --uri sqlite:///m.db"

"""The owner of a run, and whether its process is alive, on this host and on another."""

import subprocess
import sys

import psutil
import pytest

from depthlab.tracking.owner import describe, how_to_close, is_alive, is_dead, owner


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


def test_command_that_closes_a_run() -> None:
    assert how_to_close("sqlite:///m.db", "1") == "depthlab close 1 --uri sqlite:///m.db"

"""What the C library does with freed memory."""

import platform
import sys
from subprocess import run
from types import SimpleNamespace
from typing import Any

import pytest

from depthlab.folders import CHECKOUT
from depthlab.training import allocator


@pytest.mark.parametrize(("depth", "kept"), [(1, False), (10, False), (64, True)])
def test_the_states_of_all_layers_decide_whether_freed_blocks_are_kept(
    depth: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,708 nodes with 64 channels: 0.7 MB a layer."""
    calls: list[None] = []
    monkeypatch.setattr(allocator, "keep_freed_blocks", lambda: calls.append(None))
    network: Any = SimpleNamespace(memory="full", hidden=64, network=SimpleNamespace(depth=depth))
    allocator.tune_allocator(network, 2708, "auto")
    allocator.tune_allocator(network, 2708, "full")
    assert bool(calls) == kept and len(calls) < 2


FAULTS = """
import resource, sys, torch
from types import SimpleNamespace
from depthlab.training.allocator import tune_allocator

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def states(count):
    for _ in range(count):
        torch.ones(NODES, 64)

torch.set_num_threads(1)
NODES, counted = 200_000, []  # a state has 51 MB
network = SimpleNamespace(memory="full", hidden=64, network=SimpleNamespace(depth=2))
for nodes in (1_000, NODES):
    tune_allocator(network, nodes, "auto")
    states(10)  # until the heap has its size
    before = faults()
    states(10)
    counted.append(faults() - before)
print(*counted)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_large_states_are_kept_for_the_next_step_and_not_mapped_anew(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", FAULTS]
    done = run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    assert 5 * large < small


def test_other_c_libraries_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has no libc.so.6."""

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", absent)
    allocator.keep_freed_blocks()
    allocator.unmap_freed_blocks(allocator.BLOCK_SIZE)

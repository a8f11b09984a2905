"""The script for a GPU: what it imports, and its parts on the processor."""

import subprocess
import sys

import pytest
import torch

from benchmarks import gpu
from depthlab.folders import CHECKOUT

PROJECT = ("pytorch_lightning", "lightning_fabric", "hydra", "omegaconf", "mlflow", "optuna", "torchdiffeq", "pandas")
CPU = torch.device("cpu")


def test_it_needs_torch_and_pyg_and_says_in_one_sentence_if_there_is_no_gpu() -> None:
    code = (
        f"import sys; sys.modules |= dict.fromkeys({PROJECT!r}); import runpy, torch;"
        "torch.cuda.is_available = lambda: False; sys.argv = ['gpu'];"
        "runpy.run_module('benchmarks.gpu', run_name='__main__')"
    )
    environment = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}", "PATH": "", "HOME": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: there is no GPU here that PyTorch")


@pytest.mark.slow
def test_its_checks_hold_where_both_devices_are_the_processor() -> None:
    _, graph = gpu.cora(CHECKOUT / "no such folder")
    held = gpu.checks(graph, CPU)
    assert len(held) == 5 and all(held.values()), held


@pytest.mark.parametrize("name", ["gcn", "gcnii"])
def test_both_sides_take_a_step(name: str) -> None:
    graph = gpu.random_graph((60, 100, 5, 3), CPU)
    for make in gpu.sides(name, graph, depth=2, hidden=8).values():
        make()()

"""A process that process 0 starts says one sentence when it cannot go on, and does not outlive it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from depthlab.folders import ROOT

PLACE = {"number": 1, "count": 2}
Compose = Callable[..., dict[str, Any]]


def start(told: dict[str, Any], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "depthlab.training.follow"]
    told = {"parent": os.getpid(), "place": PLACE} | told
    return subprocess.run(
        command, input=json.dumps(told) + "\n", cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_a_user_s_mistake_is_one_sentence_for_process_0(
    settings: Compose, environment: dict[str, str], tmp_path: Path
) -> None:
    chosen = settings("dataset=sbm_large", "dataset.nodes=900", "loader=cluster", "trainer=ddp")
    chosen["trainer"] |= {"accelerator": "gpu", "devices": 2}
    nobody = "import torch; torch.cuda.is_available = lambda: True; torch.cuda.device_count = lambda: 1"
    (tmp_path / "sitecustomize.py").write_text(nobody)
    environment = environment | {"PYTHONPATH": os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])}
    done = start({"settings": chosen}, environment)
    assert done.returncode == 1
    assert done.stdout == "trainer.devices=2 needs as many GPUs, this machine has 1\n"
    assert "Traceback" not in done.stderr


def test_a_defect_is_told_too_and_its_trace_goes_to_standard_error(environment: dict[str, str]) -> None:
    done = start({"settings": {}}, environment)
    assert done.returncode == 1
    assert done.stdout == "KeyError: 'trainer'\n" and "Traceback" in done.stderr

"""dvc.yaml: its stages exist as they are written, form one chain, and keep what is not theirs out of it."""

import configparser
import json
import subprocess
import sys
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from depthlab.files import finite, md5
from depthlab.folders import CHECKOUT, CONF
from depthlab.graph.statistics import DIGITS
from depthlab.study.methods import Method
from tests.dvc_deps import PATH, expanded, with_modules

DVC: dict[str, Any] = yaml.safe_load(PATH.read_text())
QUICK: dict[str, Any] = yaml.safe_load((CONF / "study" / "quick.yaml").read_text())


STAGES = {f"{name}{more}": one for name, stage in DVC["stages"].items() for more, one in expanded(stage)}


def paths(stage: dict[str, Any], *kinds: str) -> list[str]:
    """The paths that a stage lists under these keys."""
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outputs(stage: dict[str, Any]) -> list[str]:
    return paths(stage, "outs", "metrics", "plots")


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same or one lies in the other."""
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def test_no_remote_is_shipped() -> None:
    config = configparser.ConfigParser()
    config.read(CHECKOUT / ".dvc" / "config")
    assert config.sections() == ["core"]
    assert set(config["core"]) == {"analytics", "autostage"}


def test_dvc_reads_the_same_stages() -> None:
    command = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(STAGES)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_what_a_stage_needs_is_in_the_repository_or_made_by_another(name: str) -> None:
    made = [path for other, stage in STAGES.items() if other != name for path in outputs(stage)]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split()
    for path in paths(STAGES[name], "deps"):
        known = any(PurePosixPath(file).is_relative_to(path) for file in tracked)
        assert known or path == "data" or any(overlap(path, other) for other in made), f"{name} needs {path}"


def test_stages_depend_on_the_modules_that_they_compute_with() -> None:
    assert PATH.read_text() == with_modules(PATH.read_text()), "run `make dvc-deps`"
    assert "src/depthlab/data/splits.py" in paths(STAGES["prepare@cora"], "deps")
    assert "src/depthlab/training/progress.py" not in paths(STAGES["study@gcn"], "deps")


def test_committed_figures_are_those_of_the_lock_and_hold_on_every_machine() -> None:
    stages = yaml.safe_load((CHECKOUT / "dvc.lock").read_text())["stages"].values()
    recorded = {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    names = [name for name in recorded if name.startswith("prepared/") and name.endswith(".json")]
    measured = [path for stage in STAGES.values() for path in paths(stage, "metrics")]
    assert sorted(names) == sorted(path for path in measured if path.startswith("prepared/"))
    for name in names:
        content = json.loads((CHECKOUT / name).read_text())
        assert md5(CHECKOUT / name) == recorded[name], f"{name} is not that of dvc.lock: make prepare ARGS=rewire"
        assert finite(content, DIGITS) == content, name


def test_prepare_study_and_report_form_a_chain() -> None:
    before = {
        name: {o for o, s in STAGES.items() if any(overlap(d, p) for d in paths(stage, "deps") for p in outputs(s))}
        for name, stage in STAGES.items()
    }
    assert before["report"] == {"study@gcn", "study@gcnii"}
    assert before["study@gcn"] == before["study@gcnii"] == {"prepare@cora"}
    assert before["prepare@cora"] == set()


def test_outputs_are_no_raw_data_records_or_checkpoints() -> None:
    made = [path for stage in STAGES.values() for path in outputs(stage)]
    assert len(made) == len(set(made))
    for path in made:
        for other in ("data", "mlflow.db", "mlartifacts", "mlruns", "checkpoints"):
            assert not overlap(path, other), path
        assert PurePosixPath(path).suffix not in (".db", ".ckpt")


def test_study_stages_are_the_methods_of_the_quick_study() -> None:
    labels = list(DVC["stages"]["study"]["foreach"].values())
    assert labels == list(QUICK["methods"])
    for key, label in DVC["stages"]["study"]["foreach"].items():
        stage = STAGES[f"study@{key}"]
        assert QUICK["methods"][label] == f"model={key}"
        assert stage["cmd"].split() == [
            "python",
            "-m",
            "src.study",
            "study=quick",
            f"only=[{label}]",
            "reuse=same_code",
        ]
        written = Method(QUICK["grid"]["dataset"], label).file("quick").relative_to(CHECKOUT).as_posix()
        assert outputs(stage) == [written]
        assert {f"conf/model/{key}.yaml", f"src/depthlab/nn/{key}.py"} <= set(paths(stage, "deps"))


def test_report_stage_lists_what_a_report_of_the_quick_study_writes() -> None:
    dataset = QUICK["grid"]["dataset"]
    names = (
        "runs.csv",
        "tables.md",
        "accuracy.png",
        "depth.png",
        f"layers-{dataset}.png",
        "animation.png",
        "report.html",
    )
    assert outputs(STAGES["report"]) == [f"results/quick/{name}" for name in names]
    assert [next(iter(plot)) for plot in DVC["plots"]] == ["results/quick/runs.csv"]

"""The real command line: a study that ends, is killed, is interrupted, has a defect, or is mistyped."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from omegaconf import OmegaConf

from depthlab.folders import CHECKOUT, CONF
from depthlab.study.command import checked
from tests.conftest import Command, Start
from tests.processes import read_until
from tests.study.conftest import CSBM, Study

EPOCHS = ("epochs=80", "patience=80", "checkpoint_every=10")
TYPED = (*CSBM, *EPOCHS, "model=gcn,gcnii", "depth=2,4", "seed=0,1", "jobs=2", "name=small", "replicas=1")
STUDIES = ", ".join(sorted(path.stem for path in (CONF / "study").glob("*.yaml")))
Numbers = dict[tuple[str, str], dict[str, float]]


def numbers(study: Study) -> Numbers:
    """The outcome of each run; fails if one was finished twice."""
    runs = study.finished().values()
    found = {
        run.identity: {name: run.metrics[name] for name in ("test_acc", "best_val_loss", "layer/dirichlet_energy")}
        for run in runs
    }
    assert len(found) == len(runs)
    return found


def check_complete(shop: Study, before: set[str]) -> None:
    """Every run has one result, no earlier result is gone, and no run is left open."""
    assert len(numbers(shop)) == 8
    assert before < set(shop.finished())
    assert not shop.records.runs("attributes.status = 'RUNNING'")
    assert {run.status for run in shop.parents().values()} == {"FINISHED"}


def check_as_left_in_peace(shop: Study, study: Study) -> None:
    """The numbers are those of the same study from start to end, in this process."""
    assert study.run(study.planned(*EPOCHS, methods={"gcn": "model=gcn", "gcnii": "model=gcnii"}))
    there, expected = numbers(shop), numbers(study)
    assert set(there) == set(expected)
    for identity, values in expected.items():
        assert there[identity] == pytest.approx(values, rel=1e-5)
    for label, run in study.parents().items():
        found = {name: value for name, value in shop.parents()[label].metrics.items() if "seconds" not in name}
        assert found == pytest.approx({name: run.metrics[name] for name in found}, rel=1e-5)


@pytest.mark.slow
def test_a_killed_study_goes_on(shop: Study, start: Start, study: Study) -> None:
    process = start(*TYPED)
    read_until(process, "[1/8 runs")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=30)[1] == []  # they end by themselves
    before = set(shop.finished())
    assert 0 < len(before) < 8

    again = start(*TYPED)
    out, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert f"study small: 8 runs, {len(before)} done, {8 - len(before)} to do" in out
    for label in ("gcn", "gcnii"):
        assert re.search(rf"  csbm {label}, accuracy in %\n    depth    2: \d+\.\d +\d.*\n    depth    4: +\d", out)
    check_complete(shop, before)
    check_as_left_in_peace(shop, study)


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "words"), [("replicas=1", "[1/8 runs"), ("replicas=auto", "[2/8 runs")])
def test_ctrl_c_and_on(shop: Study, start: Start, replicas: str, words: str) -> None:
    process = start(*TYPED[:-1], replicas)
    read_until(process, words)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    before = set(shop.finished())
    assert process.returncode == 130, errors
    assert "stopping: running trainings save a checkpoint and end" in errors
    assert f"interrupted, {len(before)} of 8 runs are done: the same command continues" in errors
    assert "Traceback" not in errors
    assert not shop.records.runs("attributes.status = 'RUNNING'")

    again = start(*TYPED[:-1], replicas)
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    check_complete(shop, before)


@pytest.mark.slow
def test_a_process_that_is_killed_takes_its_run_alone(clone: Path, shop: Study, start: Start) -> None:
    module = clone / "src" / "depthlab" / "training" / "module.py"
    step = "        graphs = self.training_graph("
    assert step in module.read_text()
    broken = "        if self.network.depth == 2:\n            __import__('os').kill(__import__('os').getpid(), 9)\n"
    module.write_text(module.read_text().replace(step, broken + step))
    process = start(*CSBM, "epochs=3", "model=gcn", "depth=2,3,4,5", "seed=0", "jobs=2")
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "failed, its process was killed" in errors
    assert "[4/4 runs" in errors
    assert "Traceback" not in errors
    assert {run.tags["depth"] for run in shop.finished().values()} == {"3", "4", "5"}
    assert "1 runs failed: the same command tries them again" in out


@pytest.mark.slow
def test_a_study_on_dask_has_the_numbers_of_one_in_this_process(
    scheduler: str, shop: Study, start: Start, study: Study
) -> None:
    typed = ["depth=2,4", "seed=0,1", "epochs=5"]
    process = start("model=gcn", *CSBM, *typed, "name=small", "backend=dask", f"scheduler={scheduler}")
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "4 runs, 0 done, 4 to do" in out
    there = {run.identity: run for run in shop.finished().values()}
    assert len(there) == 4
    assert len(list((shop.folder / "results" / "small" / "methods").iterdir())) == 1

    assert study.run(study.planned(*typed, methods={"GCN": "model=gcn"}))
    assert {run.identity for run in study.finished().values()} == set(there)
    for run in study.finished().values():
        for name in ("test_acc", "best_val_loss", "layer/dirichlet_energy"):
            assert there[run.identity].metrics[name] == pytest.approx(run.metrics[name], rel=1e-6), name


def test_a_graph_for_which_nothing_was_chosen_is_told_so_once(
    study: Study, command: Command, arrays: dict[str, Any]
) -> None:
    np.savez(study.folder / "own.npz", **arrays)
    own = ["dataset=npz", f"dataset.path={study.folder / 'own.npz'}", "depth=2,4", "seed=0,1", "dry=true"]
    for like, said in (([], 1), (["like=cornell"], 0)):
        done = command("study", *own, *like, "model=gcn,gcnii", f"tracking.uri={study.uri}")
        assert (done.code, done.err.count("own has no recipe")) == (0, said)


def test_wrong_input_of_the_process() -> None:
    command = [sys.executable, "-m", "src.study", "study=foo"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: there is no study foo: choose one of {STUDIES}\n"


def test_dry(study: Study, command: Command) -> None:
    done = command("study", *CSBM, "model=gcn", "epochs=3", f"tracking.uri={study.uri}", "dry=true", "jobs=3")
    assert done.code == 0
    assert done.out.startswith("study custom: 1 runs, 0 done, 1 to do\n  csbm gcn: depth 8, 1 run each; 1 of 1 to")
    assert done.out.endswith(" with jobs=3\n")
    assert study.records.runs() == []
    assert not (study.folder / "results").exists() and not (study.folder / "checkpoints").exists()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ([], "quick"),
        (["seed=5"], "custom"),
        (["study=quick", "seed=5"], "quick-custom"),
        (["name=mine", "seed=5"], "mine"),
        (["progress=false"], "quick"),
    ],
)
def test_a_study_is_called_what_it_is(
    study: Study, command: Command, monkeypatch: pytest.MonkeyPatch, typed: list[str], name: str
) -> None:
    seen: list[tuple[str, set[str]]] = []

    def run_study(name: str, planned: Any, config: Any) -> bool:
        seen.append((name, {planned_run.method for planned_run in planned}))
        return True

    monkeypatch.setattr("depthlab.study.run.run_study", run_study)
    monkeypatch.setattr("depthlab.study.command.check", lambda _: None)
    assert command("study", f"tracking.uri={study.uri}", *typed).code == 0
    assert seen == [(name, {"GCN", "GCNII"})]


def test_parts_of_a_study_file_may_be_left_out() -> None:
    methods = {"GCN": "model=gcn"}
    assert checked(OmegaConf.create({"methods": methods})) == {
        "methods": methods,
        "graphs": {},
        "grid": {},
        "animation": {},
    }


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(command: Command, flag: str) -> None:
    done = command("study", flag)
    assert done.code == 0
    for knob in ("depthlab study", "only=", "jobs=", "backend=", "reuse=", "dry="):
        assert knob in done.out
    assert "hydra" not in done.out and "defaults:" not in done.out

"""The command line of a sweep that is killed, interrupted, loses a process, or has a mistake."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from depthlab.sweep.command import composed, listing
from depthlab.sweep.storage import open_storage
from tests.conftest import Command, Start
from tests.processes import read_until
from tests.sweep.conftest import CSBM, Sweep

TRIALS = 8
SHORT = ("model=gcn", *CSBM, "depth=2", "seeds=2", "split=0", "fresh=0", "study_name=small")
TYPED = (*SHORT, "trainer.threads=1", "epochs=100", "patience=100", f"trials={TRIALS}", "pruner=none", "jobs=2")
DEADLINE = 300.0


def wait_until(process: "subprocess.Popen[str]", what: Callable[["subprocess.Popen[str]"], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not what(process):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)


def stored(address: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name="small", storage=open_storage(address)).get_trials()


def workers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, as git does
            if "forkserver" in " ".join(one.cmdline()) and one.ppid() != process.pid:
                found.append(one)
    return found


def check_complete(shop: Sweep, address: str, trials: int) -> None:
    """All trials are complete, none is stored or recorded twice, and no run is open."""
    found = stored(address)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * trials
    assert len({tuple(trial.params.items()) for trial in found}) == trials
    assert {"p_drop": 0.0, "dropout": 0.5, "weight_decay": 5e-4} in [trial.params for trial in found]
    assert not shop.records.runs("attributes.status = 'RUNNING'")
    finished = [run for run in shop.children().values() if run.tags["outcome"] == "finished"]
    assert sorted(int(run.tags["trial"]) for run in finished) == [trial.number for trial in found]
    assert shop.parent().status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "database"])
def test_a_sweep_that_is_killed_has_every_trial_once(
    shop: Sweep, start: Start, kind: str, request: pytest.FixtureRequest
) -> None:
    """Kills the command twice, during a trial and soon after its start, and then one of its processes."""
    address = shop.journal if kind == "journal" else request.getfixturevalue("database")
    typed = (*TYPED, f"storage={address}")
    seed = random.randrange(2**32)
    print(f"killed at moments of seed {seed}")
    chance = random.Random(seed)
    for moment in ("at work", "soon"):
        process = start(*typed)
        if moment == "at work":
            read_until(process, "trials, about")
        else:
            wait_until(process, lambda process: len(workers(process)) == 2)
        time.sleep(chance.random() / 2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = start(*typed)
    if kind == "database":
        read_until(again, "trials, about")
        workers(again)[0].kill()
    out, errors = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, errors
    assert f"sweep small: {TRIALS} trials, {TRIALS} complete" in out
    assert "Traceback" not in errors
    check_complete(shop, address, TRIALS)


@pytest.mark.slow
def test_a_sweep_on_dask(scheduler: str, shop: Sweep, start: Start) -> None:
    """The workers run its trials, each once."""
    short = [word for word in (*TYPED, f"storage={shop.journal}") if not word.startswith("jobs=")]
    process = start(*short, "trials=4", "epochs=5", "backend=dask", f"scheduler={scheduler}")
    out, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    assert "sweep small: 4 trials, 4 complete" in out
    assert [trial.state for trial in stored(shop.journal)] == [TrialState.COMPLETE] * 4
    assert len(shop.children()) == 4


@pytest.mark.slow
def test_ctrl_c_and_resuming(shop: Sweep, start: Start) -> None:
    address = str(shop.folder / "sweeps" / "small.journal")
    for moment in ("soon", "at work"):
        process = start(*TYPED)
        if moment == "at work":
            read_until(process, "trials, about")
        else:
            wait_until(process, lambda process: len(workers(process)) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 130, errors
        assert "stopping: running trials are queued again (Ctrl-C again ends at once)" in errors
        assert "Traceback" not in errors
        states = [trial.state for trial in stored(address)]
        assert (
            f"interrupted after {states.count(TrialState.COMPLETE)} of {TRIALS} trials: the same command cont" in errors
        )
        assert TrialState.WAITING in states
        assert TrialState.RUNNING not in states
        assert not shop.records.runs("attributes.status = 'RUNNING'")
    again = start(*TYPED, "jobs=1")
    _, errors = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, errors
    check_complete(shop, address, TRIALS)


def test_the_name_of_another_sweep(sweep: Sweep, command: Command) -> None:
    more = [*SHORT, "epochs=3", "trials=1", "jobs=1", f"tracking.uri={sweep.uri}", f"storage={sweep.journal}"]
    assert command("sweep", *more).code == 0
    done = command("sweep", *more, "p_drop=interval(0, 0.1)")
    sentence = "error: the sweep small has another space: give this one a name of its own, study_name=...\n"
    assert (done.code, done.err) == (1, sentence)


def test_dry_by_the_process_itself(shop: Sweep, start: Start) -> None:
    dry = start("model=gcnii", *CSBM, "p_drop=interval(0, 0.3)", "dropout=0.6", "split=0,1", "trials=7", "dry=true")
    out, errors = dry.communicate(timeout=DEADLINE)
    assert (dry.returncode, errors) == (0, "")
    assert out == (
        "sweep csbm-gcnii-d8: 7 trials of 2 splits x 1 seeds, val_acc, sampler tpe\n"
        "  model.alpha: 0.02 to 0.7 (baseline 0.1)\n"
        "  p_drop: 0 to 0.3 (baseline 0.0)\n"
    )
    assert not (shop.folder / "sweeps").exists()
    assert shop.records.runs() == []


def test_the_space_is_that_of_the_model_unless_named() -> None:
    assert set(composed(["model=acmp", *CSBM])[1].space) == {"model.repulsion", "p_drop", "model.step_size"}
    assert set(composed(["model=gcn", *CSBM])[1].space) == {"p_drop", "dropout", "weight_decay"}
    assert set(composed(["model=acmp", "sweep=default", *CSBM])[1].space) == {"p_drop", "dropout", "weight_decay"}


def test_a_command_line_is_composed() -> None:
    name, search, config = composed(["model=gcn", *CSBM, "split=range(3)", "objective=[val_acc,seconds]"])
    assert (name, search.seeds, config.pruner) == ("csbm-gcn-d8", [0], "none")
    assert [split["split"] for split in search.splits] == [0, 1, 2]
    search = composed(["model=gcn", "dataset=cora", "split=random", "split_seed=4,5"])[1]
    assert search.splits == [{"split": "random", "split_seed": 4}, {"split": "random", "split_seed": 5}]
    name, search, config = composed(["model=gcn", *CSBM, "dropout=interval(0, 0.3)", "seeds=2", "split=1"])
    assert "  dropout: 0 to 0.3 (baseline 0.3, 0.5 is outside)" in listing(name, search, config)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(command: Command, flag: str) -> None:
    done = command("sweep", flag)
    assert done.code == 0
    for word in ("depthlab sweep", "trials=", "objective=", "sampler=", "pruner=", "storage=", "dry="):
        assert word in done.out
    assert "hydra" not in done.out and "defaults:" not in done.out

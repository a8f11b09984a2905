"""Jobs of a multirun in other processes: what is refused before they start, and a real one on this machine."""

import os
from pathlib import Path

import pytest

from depthlab.config.errors import UserError
from depthlab.tracking.search import Records
from depthlab.training.launch import prepare_launch
from tests.conftest import Start

SMALL = (
    "model=gcn", "dataset=csbm", "dataset.nodes=120", "hidden=16", "epochs=3", "progress=false", "trainer.threads=1",
    "tracking.artifacts=[config]",
)  # fmt: skip
SILENT = [
    (),
    ("-m", "depth=2,4"),
    ("-m", "hydra/launcher=basic", "depth=2,4"),
    ("hydra/launcher=submitit_slurm", "--cfg", "hydra"),
]


@pytest.fixture
def submitit() -> None:
    if os.environ.get("CI"):
        return  # it has to be there
    pytest.importorskip("submitit")


@pytest.mark.parametrize("typed", SILENT)
def test_without_a_launcher_nothing_is_made(typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.training.launch.open_store", lambda *_: pytest.fail("no store is needed yet"))
    prepare_launch(typed)


def test_a_launcher_needs_several_jobs() -> None:
    with pytest.raises(UserError, match=r"^hydra/launcher=submitit_slurm starts the jobs of several settings: add -m$"):
        prepare_launch(("hydra/launcher=submitit_slurm", "depth=2"))


@pytest.mark.parametrize("ddp", ["trainer=ddp", "trainer.strategy=ddp"])
def test_several_runs_of_ddp_are_several_commands(ddp: str) -> None:
    with pytest.raises(UserError, match=r"^the processes of trainer=ddp train one run: leave -m out and start a comma"):
        prepare_launch(("-m", ddp, "depth=2,4"))


@pytest.mark.usefixtures("submitit")
def test_jobs_on_other_machines_need_a_server(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(UserError, match=r"^jobs on other machines cannot share sqlite:///.*tracking\.uri=https://HOST"):
        prepare_launch(("-m", "hydra/launcher=submitit_slurm", "depth=2,4", f"tracking.uri={uri}"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("submitit")
def test_the_experiment_is_there_before_the_jobs(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    typed = ("--multirun", "hydra/launcher=submitit_local", "seed=range(3)", f"tracking.uri={uri}")
    prepare_launch((*typed, "tracking.experiment=there"))
    assert Records(uri, "there").client.get_experiment_by_name("there") is not None


@pytest.mark.slow
@pytest.mark.usefixtures("submitit")
def test_jobs_in_processes_of_their_own_are_recorded_and_one_that_fails_is_heard_of(
    launch: Start, workshop: Path
) -> None:
    uri = f"sqlite:///{workshop}/mlflow.db"
    process = launch("src.train", "-m", "hydra/launcher=submitit_local", *SMALL, "depth=2,3,0")
    out, errors = process.communicate(timeout=280)
    assert process.returncode == 1
    assert out.count("#") == 3  # the launcher's list
    assert errors.splitlines()[-1] == "error: job 2: depth must be a whole number in [1, 100000], got 0"
    assert "Traceback" not in errors
    found = Records(uri, "depthlab").runs()
    assert sorted((run.name, run.status) for run in found) == [
        (f"csbm-gcn-d{depth}-s0-split0-nodes120-epochs3-hidden16", "FINISHED") for depth in (2, 3)
    ]

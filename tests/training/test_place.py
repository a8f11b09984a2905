"""Which process this is, as its surroundings say."""

from typing import Any

import pytest

from depthlab.config.errors import UserError
from depthlab.training.place import Place, place_of

DDP = {"strategy": "ddp", "devices": 2, "num_nodes": 1}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "GROUP_RANK": "1",
    "MASTER_ADDR": "first", "MASTER_PORT": "29400",
}  # fmt: skip
SLURM = {
    "SLURM_NTASKS": "8", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1", "SLURM_JOB_ID": "1234",
    "SLURM_NODELIST": "node[1-4]", "SLURM_JOB_NAME": "depth", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "node[3-4]",
}  # fmt: skip

BATCH = {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1234", "SLURM_NODELIST": "node3"}


def test_one_process_looks_at_nothing() -> None:
    assert place_of({"strategy": "single"}, TORCHRUN) == Place() and Place().leads


def test_where_nobody_started_others_this_one_does() -> None:
    assert place_of(DDP, {}) == Place(count=2)
    assert place_of(DDP, {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}).launcher is None  # a job of one task
    assert place_of(DDP, SLURM | {"SLURM_STEP_NUM_TASKS": "1"}).launcher is None  # a step of one task
    assert place_of({"strategy": "single"}, BATCH) == Place()


def test_torchrun() -> None:
    place = place_of(DDP | {"num_nodes": 2}, TORCHRUN)
    assert place == Place(3, 4, 1, 1, "first", 29400, "torchrun") and not place.leads


def test_srun() -> None:
    place = place_of(DDP | {"num_nodes": 2}, SLURM)
    assert place == Place(2, 4, 0, 1, "node3", 16234, "srun")
    assert place_of(DDP | {"num_nodes": 2}, SLURM | {"SLURM_STEP_ID": "1"}).port == 17231


@pytest.mark.parametrize(
    ("trainer", "environment", "sentence"),
    [
        (DDP, BATCH, r"^this SLURM job has 2 tasks, but trainer=ddp is not started by srun: write `srun python -m src"),
        (DDP, BATCH | {"SLURM_NTASKS": "x"}, r"^SLURM_NTASKS must be a whole number, got x: start the processes with"),
        (DDP, TORCHRUN | {"RANK": ""}, r"^RANK must be a whole number, got : start the processes with torchrun or"),
        (DDP, TORCHRUN, r"^torchrun started 4 processes, trainer.devices=2 trainer.num_nodes=1 asks for 2: make them"),
        (DDP | {"num_nodes": 3}, {}, r"^trainer.num_nodes=3 needs processes on every machine: .*torchrun --nnodes=3 "),
    ],
)
def test_processes_that_do_not_fit(trainer: dict[str, Any], environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        place_of(trainer, environment)

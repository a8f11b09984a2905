"""Which of the processes of a run this one is, as torchrun, srun or nobody says. Imports nothing heavy."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from depthlab.config.errors import UserError
from depthlab.config.settings import processes


@dataclass(frozen=True)
class Place:
    """One process among those that train a network together.

    Attributes:
        number: among all; 0 evaluates, records and decides.
        count: of all processes.
        local: number among those of this machine.
        node: number of this machine.
        address, port: where process 0 answers; port 0 is any that is free.
        launcher: `torchrun` or `srun`, who started the processes; None: process 0 starts the others.
    """

    number: int = 0
    count: int = 1
    local: int = 0
    node: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    launcher: str | None = None

    @property
    def leads(self) -> bool:
        return self.number == 0

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def place_of(trainer: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Place:
    """The place of this process in a run with these settings of the trainer.

    Raises:
        UserError: other processes were started than were asked for, or nobody starts those on the other machines.
    """
    if trainer["strategy"] != "ddp":
        return Place()
    count, asked = processes(dict(trainer)), f"trainer.devices={trainer['devices']} trainer.num_nodes="
    place = _started(environment)
    if place is None:
        if trainer["num_nodes"] > 1:
            raise UserError(
                f"trainer.num_nodes={trainer['num_nodes']} needs processes on every machine: start the same command"
                f" there by `torchrun --nnodes={trainer['num_nodes']} --nproc-per-node={trainer['devices']}"
                " --rdzv-backend=c10d --rdzv-endpoint=HOST:29400 -m src.train ...`, or by srun"
            )
        return Place(count=count)
    if place.count != count:
        raise UserError(
            f"{place.launcher} started {place.count} processes, {asked}{trainer['num_nodes']} asks for {count}:"
            " make them agree"
        )
    return place


def _started(environment: Mapping[str, str]) -> Place | None:
    """Rank and world size from torchrun or srun; None if neither started more than one process.

    Raises:
        UserError: a batch job has several tasks, but srun did not start this one; or a variable is not a number.
    """

    def number(key: str) -> int:
        value = environment.get(key, "nothing")
        if not value.isdigit():
            raise UserError(f"{key} must be a whole number, got {value}: start the processes with torchrun or srun")
        return int(value)

    if "TORCHELASTIC_RUN_ID" in environment:
        own, count, local, node = map(number, ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK"))
        address = environment.get("MASTER_ADDR", "127.0.0.1")
        return Place(own, count, local, node, address, number("MASTER_PORT"), "torchrun")
    step = "SLURM_STEP_ID" in environment and "SLURM_STEP_NUM_TASKS" in environment  # set by srun alone
    if step and number("SLURM_STEP_NUM_TASKS") > 1:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        keys = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NODEID")
        own, count, local, node = map(number, keys)
        nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_NODELIST", "127.0.0.1")
        # the same in all processes, another in another job or step
        port = 15000 + (number("SLURM_JOB_ID") + 997 * number("SLURM_STEP_ID")) % 10000
        return Place(own, count, local, node, SLURMEnvironment.resolve_root_node_address(nodes), port, "srun")
    if not step and "SLURM_PROCID" in environment and number("SLURM_NTASKS") > 1:
        raise UserError(
            f"this SLURM job has {environment['SLURM_NTASKS']} tasks, but trainer=ddp is not started by srun: write"
            " `srun python -m src.train ...`, or give the job one task"
        )
    return None

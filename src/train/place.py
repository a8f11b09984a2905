"""Which of the processes of a run this one is, as torchrun, srun or nobody says. Imports nothing heavy."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from src.errors import UserError
from src.settings import processes


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
    """What torchrun or srun say of this process; None if neither started several."""
    if "TORCHELASTIC_RUN_ID" in environment:
        number, count, local, node = (
            int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK")
        )
        port = int(environment["MASTER_PORT"])
        return Place(number, count, local, node, environment["MASTER_ADDR"], port, "torchrun")
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        number, count, local, node = (
            int(environment[f"SLURM_{key}"]) for key in ("PROCID", "NTASKS", "LOCALID", "NODEID")
        )
        address = SLURMEnvironment.resolve_root_node_address(environment["SLURM_NODELIST"])
        job, step = int(environment["SLURM_JOB_ID"]), int(environment.get("SLURM_STEP_ID", 0))
        port = 15000 + (job + 997 * step) % 10000  # the same in all processes, another in another job or step
        return Place(number, count, local, node, address, port, "srun")
    return None

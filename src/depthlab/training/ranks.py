"""The ranks of a distributed run: torchrun or srun starts the processes, and rank 0 is the main one.

Imports nothing heavy before the process group is created.
"""

import io
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from depthlab.config.errors import UserError
from depthlab.config.schema import TrainerSettings
from depthlab.training.signals import SIGNALS, STOPPED

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

VARIABLES = {  # rank, local rank, processes, processes on this machine
    "torchrun": ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    "srun": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
}
TIMEOUT = timedelta(days=7)  # the other ranks wait while rank 0 evaluates; a lost rank is detected at once
GRACE = 10.0  # seconds for the launcher to end the other ranks after the main one has failed


def launcher() -> str | None:
    """The launcher that started this process, `torchrun` or `srun`; None if there is none."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun"
    return "srun" if "SLURM_STEP_NUM_TASKS" in os.environ else None  # not set in the batch script


def rank() -> int:
    """The global rank of this process; 0 without a launcher."""
    return _number(0, 0)


def local_rank() -> int:
    """The rank of this process on its machine."""
    return _number(1, 0)


def _number(position: int, without: int) -> int:
    by = launcher()
    return int(os.environ.get(VARIABLES[by][position], without)) if by else without


def is_main(trainer: TrainerSettings) -> bool:
    """Whether this process evaluates, records, prints and writes files: rank 0, and every run of one process."""
    return trainer.strategy != "ddp" or rank() == 0


def asks_for_ranks(words: Sequence[str]) -> bool:
    """Whether a command line asks for several ranks; works before Hydra composes the settings."""
    return not {"trainer=ddp", "trainer.strategy=ddp"}.isdisjoint(words)


def check_ranks(trainer: TrainerSettings, overrides: Sequence[str]) -> None:
    """Check that the launcher started as many processes as `trainer` needs.

    Args:
        trainer: settings of the trainer.
        overrides: of the command, for the error message.

    Raises:
        UserError: there is no launcher, or it started a different number of processes.
    """
    by, count = launcher(), _number(2, 1)
    if trainer.strategy != "ddp":
        if by == "torchrun" and count > 1:
            raise UserError(f"torchrun started {count} processes for a run of one: add trainer=ddp loader=cluster")
        return
    asked, devices, nodes = trainer.processes, trainer.devices, trainer.num_nodes
    if by is None:
        more = f"--nnodes={nodes} --rdzv-backend=c10d --rdzv-endpoint=HOST:29400 " if nodes > 1 else ""
        module = "depthlab train" if sys.argv[0].startswith("depthlab") else "src.train"
        command = f"torchrun {more}--nproc-per-node={devices} -m {module} {shlex.join(overrides)}".strip()
        where = " on every machine" if nodes > 1 else ""
        raise UserError(f"trainer=ddp needs torchrun to start its {asked} processes: type{where} {command}")
    here = _number(3, count)
    if (count, here) != (asked, devices):
        raise UserError(
            f"{by} started {count} processes, {here} on each machine; trainer.devices={devices}"
            f" trainer.num_nodes={nodes} need {asked}, {devices} on each: make the numbers equal"
        )


def cluster_environment() -> "ClusterEnvironment":
    """The Lightning environment that provides rank and world size.

    Raises:
        UserError: a variable that Lightning needs is not set by srun.
    """
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if launcher() == "torchrun":
        return TorchElasticEnvironment()
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError:  # a variable is not set
        raise UserError("srun did not set the number of processes per machine: add --ntasks-per-node=...") from None


@contextmanager
def process_group(trainer: TrainerSettings) -> Iterator[None]:
    """Context in which the ranks of a `trainer=ddp` run are connected; if one is lost, the others end.

    Raises:
        UserError: as `check_ranks`.
        KeyboardInterrupt: the connection to another rank is lost. Not an error, since torchrun then sends SIGTERM.
    """
    if trainer.strategy != "ddp":
        yield
        return
    from torch import distributed

    check_ranks(trainer, sys.argv[1:])
    environment = cluster_environment()
    os.environ |= {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
    backend = "cpu:gloo,cuda:nccl" if trainer.accelerator == "gpu" else "gloo"
    try:
        distributed.init_process_group(
            backend, rank=environment.global_rank(), world_size=environment.world_size(), timeout=TIMEOUT
        )
        yield
        distributed.destroy_process_group()  # not after an error, which this rank has to print first
    except (RuntimeError, KeyboardInterrupt) as error:
        cause = error.__context__ if isinstance(error, KeyboardInterrupt) else error
        if not isinstance(cause, distributed.DistError) and not re.search("gloo|Connection", str(cause)):
            raise
        why = re.split(r"\.\s|\n", str(cause))[0]
        raise KeyboardInterrupt(
            f"the connection between the ranks failed: {why}; read the errors of the other ranks, then resume with the"
            " same command and ckpt=last"
        ) from None


def check_same(identity: dict[str, str]) -> None:
    """Wait until every rank has its data and model, and raise UserError if their data, settings or code differ."""
    from torch import distributed

    identities: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(identities, identity)
    for number, other in enumerate(identities):
        if other != identities[0]:
            raise UserError(f"rank {number} has other settings, data or code than rank 0: use the same everywhere")


@contextmanager
def main_rank_prints(overrides: Sequence[str]) -> Iterator[None]:
    """Context in which only the main rank of a `trainer=ddp` command prints.

    Another rank that fails prints its error after `GRACE` seconds. If the main rank fails for the same reason, the
    launcher ends the other rank before that, so that the error is printed once.

    Args:
        overrides: the command line.
    """
    if launcher() is None or not asks_for_ranks(overrides):
        yield
        return
    output = io.StringIO()
    try:
        if rank() == 0:
            yield
        else:
            with redirect_stdout(output), redirect_stderr(output):
                yield
    except BaseException as error:
        ended = isinstance(error, SystemExit) and error.code in (0, STOPPED)
        end_on_signal()  # torchrun sends SIGTERM after a rank has failed
        if rank() > 0 and not ended:
            time.sleep(GRACE)
            print(f"rank {rank()}: {output.getvalue().strip()}", file=sys.stderr)
        raise


def end_on_signal() -> None:
    """Make Ctrl-C and SIGTERM end this process silently; it has nothing to save."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)

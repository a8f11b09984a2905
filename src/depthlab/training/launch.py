"""`-m hydra/launcher=submitit_slurm`: preparations before the jobs of a multirun start in other processes or machines.

Imports nothing heavy if no launcher is chosen.
"""

from collections.abc import Sequence

from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.tracking.store import check_store, open_store, store_uri
from depthlab.training.ranks import asks_for_ranks

CHOICE = "hydra/launcher="
ELSEWHERE = "submitit_slurm"  # its jobs run on other machines
MULTIRUN = {"-m", "--multirun"}
# flags with which Hydra prints and runs nothing
SHOWS = {"--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}


def prepare_launch(arguments: Sequence[str]) -> None:
    """Create the database and the experiment before jobs start, since concurrent jobs would all try to create them.

    Args:
        arguments: of `depthlab train`.

    Raises:
        UserError: Hydra would not use the launcher, or its jobs could not record.
    """
    launcher = next((word.removeprefix(CHOICE) for word in reversed(arguments) if word.startswith(CHOICE)), "basic")
    if MULTIRUN.intersection(arguments) and launcher == "basic" and asks_for_ranks(arguments):
        raise UserError("the processes of trainer=ddp train one run: leave -m out and start a command for each run")
    if launcher == "basic" or SHOWS.intersection(arguments):
        return
    if not MULTIRUN.intersection(arguments):  # Hydra would train in this process without a message
        raise UserError(f"{CHOICE}{launcher} starts the jobs of several settings: add -m")
    uri, experiment = _tracking(arguments)
    check_store(uri)
    if launcher == ELSEWHERE and uri.startswith("sqlite"):
        raise UserError(
            f"jobs on other machines cannot share {uri}: give the address of a server, tracking.uri=https://HOST:5000"
        )
    open_store(uri, experiment)


def _tracking(arguments: Sequence[str]) -> tuple[str, str]:
    """Address and experiment of the store for all jobs, from the settings that have a single value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [word for word in arguments if "=" in word and not word.startswith("-")]
    single = [one.input_line for one in OverridesParser.create().parse_overrides(words) if not one.is_sweep_override()]
    config, _ = compose("config", [line for line in single if line])
    return store_uri(config.tracking.uri), str(config.tracking.experiment)

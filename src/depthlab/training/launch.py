"""`-m hydra/launcher=submitit_slurm`: what is seen to before the jobs of a multirun go to other processes or machines.

Imports nothing heavy where no launcher is typed.
"""

from collections.abc import Sequence

from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.tracking.store import check_store, open_store, store_uri
from depthlab.training.ranks import asks_for_ranks

CHOICE = "hydra/launcher="
ELSEWHERE = "submitit_slurm"  # its jobs run on other machines
MULTIRUN = {"-m", "--multirun"}
SHOWS = {"--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}  # and runs nothing


def prepare_launch(typed: Sequence[str]) -> None:
    """Create the database and the experiment before jobs start, since concurrent jobs would all try to create them.

    Args:
        typed: the arguments of `depthlab train`.

    Raises:
        UserError: the launcher would not be used, or its jobs could not record.
    """
    launcher = next((word.removeprefix(CHOICE) for word in reversed(typed) if word.startswith(CHOICE)), "basic")
    if MULTIRUN.intersection(typed) and launcher == "basic" and asks_for_ranks(typed):
        raise UserError("the processes of trainer=ddp train one run: leave -m out and start a command for each run")
    if launcher == "basic" or SHOWS.intersection(typed):
        return
    if not MULTIRUN.intersection(typed):  # Hydra would train here and say nothing
        raise UserError(f"{CHOICE}{launcher} starts the jobs of several settings: add -m")
    uri, experiment = _tracking(typed)
    check_store(uri)
    if launcher == ELSEWHERE and uri.startswith("sqlite"):
        raise UserError(
            f"jobs on other machines cannot share {uri}: give the address of a server, tracking.uri=https://HOST:5000"
        )
    open_store(uri, experiment)


def _tracking(typed: Sequence[str]) -> tuple[str, str]:
    """Address and experiment that all jobs have: of what is typed, the settings with one value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [word for word in typed if "=" in word and not word.startswith("-")]
    single = [one.input_line for one in OverridesParser.create().parse_overrides(words) if not one.is_sweep_override()]
    config, _ = compose("config", [line for line in single if line])
    return store_uri(config.tracking.uri), str(config.tracking.experiment)

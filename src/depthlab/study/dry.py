"""`dry=true`: lists what a study would run, and for how long. Imports nothing heavy, unless runs ask for a GPU."""

from collections.abc import Sequence

from omegaconf import DictConfig

from depthlab.parallel import local
from depthlab.study.estimate import estimate
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import make_plan
from depthlab.study.summary import listing
from depthlab.tracking.search import recorded_runs


def list_runs(name: str, runs: Sequence[PlannedRun], config: DictConfig) -> str:
    """The methods of a study, with the number of runs that are done and left; creates and changes nothing.

    Args:
        name, runs, config: as for `depthlab.study.run.run_study`.

    Raises:
        UserError: the store cannot be used.
    """
    runs = [run for run in runs if config.only is None or run.method in config.only]
    if config.backend != "dask" and any(run.settings.trainer.accelerator != "cpu" for run in runs):
        from depthlab.study.run import on_what_is_here  # only torch knows whether there is a GPU

        runs = on_what_is_here(runs)
    tracking = runs[0].settings.tracking
    plan = make_plan(runs, recorded_runs(tracking.store, tracking.experiment), config.reuse == "same_code")
    jobs = local(config.jobs).count
    return listing(name, plan, sum(estimate(plan).values()) / jobs, jobs)

"""Runs a study from start to end: plan, parent runs, training, curves by depth."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from filelock import FileLock, Timeout
from omegaconf import DictConfig

from depthlab.config.errors import UserError
from depthlab.dask_cluster import connect
from depthlab.data.prepare import load
from depthlab.folders import checkpoints
from depthlab.parallel import Stop, Workers, execute, local
from depthlab.study.estimate import estimate
from depthlab.study.grid import PlannedRun
from depthlab.study.groups import group
from depthlab.study.methods import Method, method_colors
from depthlab.study.others import close_dead, refuse_twice, wait_for_others
from depthlab.study.parents import Curves, close_parents, open_parents
from depthlab.study.plan import make_plan
from depthlab.study.progress import StudyProgress
from depthlab.study.summary import listing, results
from depthlab.study.work import TAKEN, Job, work
from depthlab.tasks.task import make_task
from depthlab.text import file_name
from depthlab.tracking.names import RENAMED
from depthlab.tracking.search import PARENT, Records
from depthlab.training.device import with_available_device
from depthlab.training.fit import quiet_libraries
from depthlab.training.signals import deferred_signals

OUTDATED = (
    "study {name} was recorded by an older version with other names ({names}): its methods are recorded again, and runs"
    " with such metrics are trained again"
)


def run_study(name: str, runs: Sequence[PlannedRun], config: DictConfig) -> bool:
    """Train the runs that have no result yet and record the methods; returns whether every run has a result.

    Args:
        name: name of the study.
        runs: all planned runs, including those of methods that `only` leaves out.
        config: conf/study.yaml as composed.

    Raises:
        UserError: the store or the cluster cannot be used, or the study is running already.
        KeyboardInterrupt: interrupted; finished runs are recorded.
    """
    quiet_libraries()
    colors = method_colors(run.method for run in runs)
    runs = [run for run in runs if config.only is None or run.method in config.only]
    if config.backend != "dask":  # a cluster's workers may have a GPU that is not here
        runs = on_what_is_here(runs)
    tracking = runs[0].settings.tracking
    records = Records(tracking.store, tracking.experiment)  # created here, before any worker starts
    recorded = records.runs()
    if any(one.outdated and one.tags.get("study") == name for one in recorded):
        print(OUTDATED.format(name=name, names=RENAMED), file=sys.stderr)
    check_data(runs)
    plan = make_plan(runs, recorded, config.reuse == "same_code")
    dask = config.backend == "dask"
    workers = connect(config.scheduler, {"tracking.uri": records.uri}) if dask else local(config.jobs)
    torch.set_num_threads(workers.threads)
    costs = estimate(plan)
    print(listing(name, plan, sum(costs.values()) / workers.count, workers.count))
    checkpoints().mkdir(parents=True, exist_ok=True)
    methods: list[Method] = []
    interrupted = False
    try:
        with FileLock(checkpoints() / f"study-{file_name(name)}.lock", blocking=False):
            refuse_twice(records, name)
            try:
                close_dead(records, plan)
                with deferred_signals():
                    methods = open_parents(records, name, plan, colors, keep_others=config.only is not None)
                todo = plan.todo
                while todo and not interrupted:
                    curves = Curves(records, methods, plan)
                    interrupted, taken = _execute(name, todo, curves, workers, costs, config)
                    others = [run for run in todo if run.hash in taken]
                    waited = not interrupted and wait_for_others(records, plan, others)
                    plan = make_plan(runs, records.runs(), config.reuse == "same_code")
                    # without a wait nothing changes: workers started after an edit of src compare another code hash
                    todo = [run for run in plan.todo if run.hash in taken] if waited else []
            except BaseException:
                with deferred_signals():
                    close_parents(name, methods, plan, complete=False)
                raise
            with deferred_signals():
                close_parents(name, methods, plan, complete=not interrupted)
    except Timeout:
        raise UserError(
            f"the study {name} is running already: wait for it, or give this one another name=..."
        ) from None
    if interrupted:
        raise KeyboardInterrupt(
            f"interrupted, {len(plan.done)} of {len(runs)} runs are done: the same command continues"
        )
    print(results(name, methods, plan, records))
    return not plan.todo


def check_data(runs: Sequence[PlannedRun]) -> None:
    """Prepare the datasets, and raise UserError if one cannot be read, or its metric is undefined on a split."""
    for settings in {str(run.settings.dataset): run.settings.dataset for run in runs}.values():
        dataset, _ = load(settings)
        of_it = [run.settings for run in runs if run.settings.dataset == settings]
        for one in {(one.split, one.split_seed): one for one in of_it}.values():
            make_task(one, dataset)


def on_what_is_here(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs with the device of this machine filled in: results of another device do not count."""
    by_trainer = {run.settings.trainer: run.settings for run in runs}
    trainers = {trainer: with_available_device(settings).trainer for trainer, settings in by_trainer.items()}
    return [replace(run, settings=replace(run.settings, trainer=trainers[run.settings.trainer])) for run in runs]


def _execute(
    name: str,
    runs: Sequence[PlannedRun],
    curves: Curves,
    workers: Workers,
    costs: dict[str, float],
    config: DictConfig,
) -> tuple[bool, set[str]]:
    """Train runs and print progress; returns whether it was interrupted, and the hashes of runs of other commands."""
    jobs = [
        Job(
            run,
            {"study": name, "method": run.method, PARENT: curves.methods[run.dataset, run.method].parent},
            config.reuse,
        )
        for run in runs
    ]
    taken: set[str] = set()
    groups = group(jobs, config.replicas, workers.count)
    queue = sorted(groups, key=lambda jobs: -sum(costs[job.run.hash] for job in jobs))  # no worker is idle at the end
    with (
        Stop(workers.stopping("running trainings save a checkpoint and end")) as stop,
        StudyProgress(name, jobs, costs, workers.count) as progress,
    ):
        for done in execute(progress.starting(queue), work, workers, stop):
            if done.outcome == TAKEN:
                taken |= {job.run.hash for job in done.task}
            progress.end(done)
            for job in done.task:
                curves.ended(job.run)
    return stop.requested, taken

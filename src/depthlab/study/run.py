"""One study from start to end: plan, parents, cells, curves by depth, in a straight line."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from filelock import FileLock, Timeout
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from depthlab.config.errors import UserError
from depthlab.dask_cluster import connect
from depthlab.folders import checkpoints
from depthlab.parallel import Stop, Workers, execute, local
from depthlab.study.estimate import estimate
from depthlab.study.grid import Cell
from depthlab.study.groups import group
from depthlab.study.lines import Line, close_parents, line_colors, open_parents
from depthlab.study.others import close_dead, refuse_twice, wait_for_others
from depthlab.study.plan import make_plan
from depthlab.study.summary import duration, listing, results
from depthlab.study.work import TAKEN, Job, work
from depthlab.text import file_name, printable
from depthlab.tracking.search import PARENT, Records
from depthlab.training.device import on_what_is_here
from depthlab.training.fit import quiet_libraries
from depthlab.training.run_name import run_name
from depthlab.training.signals import deferred_signals

OUTDATED = (
    "study {name} has runs of an older version, whose metrics have other names (train_loss, now epoch/train_loss): they"
    " do not count, and stay in the store"
)


def run_study(name: str, cells: Sequence[Cell], config: DictConfig) -> bool:
    """Run the cells that are not done yet and record the lines; returns whether every cell has a result.

    Args:
        name: of the study.
        cells: all of them, also those of lines that `only` leaves out.
        config: conf/study.yaml as composed.

    Raises:
        UserError: the store or the cluster cannot be used, or the study is running already.
        KeyboardInterrupt: after what is done has been recorded.
    """
    quiet_libraries()
    colors = line_colors(cell.line for cell in cells)
    cells = [cell for cell in cells if config.only is None or cell.line in config.only]
    if config.backend != "dask":  # a cluster's workers may have a GPU that is not here
        cells = _on_what_is_here(cells)
    tracking = cells[0].settings["tracking"]
    records = Records(tracking["uri"], tracking["experiment"])  # created here, before any worker starts
    runs = records.runs()
    if any(run.outdated and run.tags.get("study") == name for run in runs):
        print(OUTDATED.format(name=name), file=sys.stderr)
    plan = make_plan(cells, runs, config.reuse == "same_code")
    dask = config.backend == "dask" and not config.dry
    workers = connect(config.scheduler, {"tracking.uri": records.uri}) if dask else local(config.jobs)
    torch.set_num_threads(workers.threads)
    costs = estimate(plan)
    print(listing(name, plan, sum(costs.values()) / workers.count, workers.count))
    if config.dry:
        return True
    checkpoints().mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    interrupted = False
    try:
        with FileLock(checkpoints() / f"study-{file_name(name)}.lock", blocking=False):
            refuse_twice(records, name)
            try:
                close_dead(records, plan)
                with deferred_signals():
                    lines = open_parents(records, name, plan, colors, keep_others=config.only is not None)
                todo = plan.todo
                while todo and not interrupted:
                    interrupted, taken = _run_cells(name, todo, lines, workers, costs, config)
                    others = [cell for cell in todo if cell.hash in taken]
                    waited = not interrupted and wait_for_others(records, plan, others)
                    plan = make_plan(cells, records.runs(), config.reuse == "same_code")
                    # without a wait nothing changes: workers started after an edit of src compare another code hash
                    todo = [cell for cell in plan.todo if cell.hash in taken] if waited else []
            except BaseException:
                with deferred_signals():
                    close_parents(name, lines, plan, complete=False)
                raise
            with deferred_signals():
                close_parents(name, lines, plan, complete=not interrupted)
    except Timeout:
        raise UserError(
            f"the study {name} is running already: wait for it, or give this one another name=..."
        ) from None
    if interrupted:
        raise KeyboardInterrupt(
            f"interrupted, {len(plan.done)} of {len(cells)} cells are done: the same command goes on"
        )
    print(results(name, lines, plan, records))
    return not plan.todo


def _on_what_is_here(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with the device that they will be trained on: results of another device do not count."""
    trainers = {str(cell.settings["trainer"]): cell.settings for cell in cells}
    found = {key: on_what_is_here(settings)["trainer"] for key, settings in trainers.items()}
    return [replace(cell, settings=cell.settings | {"trainer": found[str(cell.settings["trainer"])]}) for cell in cells]


def _run_cells(
    name: str,
    cells: Sequence[Cell],
    lines: Sequence[Line],
    workers: Workers,
    costs: dict[str, float],
    config: DictConfig,
) -> tuple[bool, set[str]]:
    """Run cells and print progress; returns whether it was interrupted, and the hashes of cells of other commands."""
    parents = {line.key: line.parent for line in lines}
    jobs = [
        Job(cell, {"study": name, "line": cell.line, PARENT: parents[cell.dataset, cell.line]}, config.reuse)
        for cell in cells
    ]
    taken: set[str] = set()
    queue = group(jobs, config.replicas, workers.count)
    console = Console(stderr=True)
    ended, spent, total = 0, 0.0, sum(costs[cell.hash] for cell in cells)
    left = total
    bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), console=console)
    with Stop(workers.stopping("cells at work save a checkpoint and end")) as stop, bar:
        task = bar.add_task(name, total=total)
        for done in execute(queue, work, workers, stop):
            cell = done.task[0].cell
            if done.outcome != "interrupted":
                ended += len(done.task)
                left -= sum(costs[job.cell.hash] for job in done.task)
                spent += done.seconds
            if done.outcome == TAKEN:
                taken |= {job.cell.hash for job in done.task}
            pace = spent / (total - left) / workers.count if spent else 0.0
            text = f"{ended}/{len(jobs)} cells" + (f", about {duration(left * pace)} left" if left > 0 else "")
            bar.update(task, completed=total - left, description=f"{name}: {text}")
            more = f" and {len(done.task) - 1} more" if len(done.task) > 1 else ""
            what = f"{run_name(cell.settings)}{more} ({cell.line}): {done.outcome}, {done.sentence}"
            line = printable(f"[{text}] {what} ({duration(done.seconds)})")
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return stop.requested, taken

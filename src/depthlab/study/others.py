"""Handles runs of other commands: closes those of dead processes and waits for the others."""

import sys
import time
from collections.abc import Sequence

from filelock import FileLock, Timeout

from depthlab.config.errors import UserError
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import Plan
from depthlab.tracking.owner import describe, how_to_close, owner
from depthlab.tracking.search import Recorded, Records
from depthlab.training.identity import LOCK, checkpoint_folder

LOOK_SECONDS = 2.0  # seconds between two checks of other commands' runs


def close_dead(records: Records, plan: Plan) -> None:
    """Close recorded runs of the plan that have status RUNNING although their process has died."""
    for recorded in running(records, plan, plan.todo):
        if not recorded.is_running:
            records.close(recorded.run_id, "interrupted")


def running(records: Records, plan: Plan, runs: Sequence[PlannedRun]) -> list[Recorded]:
    """Recorded runs of the planned runs with status RUNNING, of any command."""
    wanted = {(run.hash, plan.data[run.hash]) for run in runs}
    recorded = records.runs("attributes.status = 'RUNNING'")
    return [one for one in recorded if one.identity in wanted]


def refuse_twice(records: Records, study: str) -> None:
    """Raise UserError if a command on another host, or in another clone, runs a study of this name."""
    for run in records.runs(f"tags.kind = 'study' and tags.study = '{study}' and attributes.status = 'RUNNING'"):
        process = run.owner
        if process and process != owner() and run.is_running:
            close = how_to_close(records.uri, run.run_id)
            raise UserError(
                f"the study {study} is running already ({describe(process)}): wait for it, give this one another"
                f" name=..., or, if that process is dead, close its record with {close}"
            )


def wait_for_others(records: Records, plan: Plan, runs: Sequence[PlannedRun]) -> bool:
    """Wait until no other command trains one of these runs, whichever store it records in.

    Returns:
        Whether there was anything to wait for.
    """
    shown = waited = False
    while runs:
        alive = [recorded for recorded in running(records, plan, runs) if recorded.is_running]
        if not alive and not any(map(_is_locked, runs)):
            break
        if alive and not shown:
            shown = True
            first = alive[0]
            who = describe(first.owner)
            print(
                f"waiting for {len(alive)} runs that other commands train, such as {first.name} ({who});"
                f" if that process is dead, close its run with {how_to_close(records.uri, first.run_id)}",
                file=sys.stderr,
            )
        waited = True
        time.sleep(LOOK_SECONDS)
    return waited


def _is_locked(run: PlannedRun) -> bool:
    """Whether a command of this clone trains the run: its record may be missing yet, or in another store."""
    try:
        with FileLock(checkpoint_folder(run.settings) / LOCK, blocking=False):
            return False
    except Timeout:
        return True

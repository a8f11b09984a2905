"""Let only one command train a planned run: each checks before it starts and again once its run is recorded."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from depthlab.config.errors import TakenError
from depthlab.config.schema import Settings
from depthlab.tracking.owner import describe
from depthlab.tracking.record import CombinedRecord
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Recorded, Records
from depthlab.training.result import combined_record, open_run

TURN = "turn"  # tag of a run: its number in the queue; empty until it is chosen
FIRST = "0"  # turn of a run that does not check for others
WAIT, PATIENCE = 0.05, 30.0  # seconds between two checks of a command that chooses its turn, and the limit


@dataclass(frozen=True)
class Claim:
    """Checks whether another command trains the same planned run or has a result of it.

    MLflow has no atomic claim. Commands draw numbers as in a bakery (Lamport, A new solution of Dijkstra's concurrent
    programming problem, 1974): a run is recorded first, then gets a number larger than all others, and the
    smallest number wins; equal numbers are ordered by run id.

    Attributes:
        records: runs of the experiment.
        identity: `config_hash`, `data_hash` and `code_hash` of the run.
        same_code: whether runs with other code do not count.
    """

    records: Records
    identity: dict[str, str]
    same_code: bool

    def others(self, run_id: str = "") -> list[Recorded]:
        """Recorded runs of this planned run that may be in progress, and its latest result."""
        keys = ["config_hash", "data_hash", *(["code_hash"] if self.same_code else [])]
        runs = self.records.runs(" and ".join(f"tags.{key} = '{self.identity[key]}'" for key in keys))
        running = [run for run in runs if run.is_running]
        results = [run for run in runs if run.status != "RUNNING" and run.is_result]
        return [run for run in running + results[-1:] if run.run_id != run_id]

    def check(self) -> None:
        """Raise TakenError if another command trains this planned run or has a result of it."""
        for run in self.others():
            raise TakenError(taken(run))

    def confirm(self, tracked: TrackedRun) -> None:
        """Confirm a run that was recorded with an empty turn.

        Raises:
            TakenError: another command came first; the run is deleted.
        """
        turns = [int(run.tags.get(TURN) or FIRST) for run in self.others(tracked.run_id)]
        mine = max(turns, default=0) + 1
        tracked.tag({TURN: str(mine)})
        tracked.flush()
        deadline = time.monotonic() + PATIENCE
        while True:
            others = self.others(tracked.run_id)
            choosing = [run for run in others if run.status == "RUNNING" and run.tags.get(TURN) == ""]
            for run in others:
                late = run in choosing and time.monotonic() > deadline
                before = run not in choosing and (int(run.tags.get(TURN) or FIRST), run.run_id) < (mine, tracked.run_id)
                if late or before or run.status != "RUNNING":
                    tracked.abandon("KILLED", "interrupted")
                    if not tracked.resumed:
                        self.records.delete(tracked.run_id)
                    raise TakenError(taken(run))
            if not choosing:
                return
            time.sleep(WAIT)


def taken(run: Recorded) -> str:
    """The error for a planned run that another command trains or has trained."""
    if run.status == "RUNNING":
        return f"{describe(run.owner)} trains it"
    return "another command has trained it"


def open_record(
    settings: Settings,
    provenance: Mapping[str, str],
    more: dict[str, str],
    content: dict[str, Any] | None,
    reuse: str | None,
) -> TrackedRun | CombinedRecord:
    """Open the record of a run in MLflow, as `open_claimed`, and in the loggers of the settings."""
    tracked = open_claimed(settings, provenance, more, content, reuse) if settings.in_mlflow else None
    return combined_record(tracked, settings, provenance, more, content)


def open_claimed(
    settings: Settings,
    provenance: Mapping[str, str],
    more: dict[str, str],
    content: dict[str, Any] | None,
    reuse: str | None,
) -> TrackedRun:
    """Open a run with `depthlab.training.result.open_run`, unless another command trains the same run.

    Args:
        more: further tags; those of `depthlab.training.identity.identity_of` are among them.
        reuse: `any_code` or `same_code` for a planned run of a study; None to train in any case.

    Raises:
        TakenError: another command trains this run, or has trained it.
    """
    if reuse is None:
        return open_run(settings, provenance, more | {TURN: FIRST}, content, background=True)
    tracking = settings.tracking
    claim = Claim(Records(tracking.store, tracking.experiment), more, reuse == "same_code")
    claim.check()
    tracked = open_run(settings, provenance, more | {TURN: ""}, content)
    try:
        claim.confirm(tracked)
    except TakenError:
        raise
    except Exception:
        tracked.abandon("FAILED", "failed")
        raise
    return tracked

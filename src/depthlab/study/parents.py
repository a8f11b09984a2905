"""Parent runs: one a method, with metrics by step = depth, the list of its planned runs and a JSON file."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from depthlab.config.errors import UserError
from depthlab.files import lock_of, write_json
from depthlab.study.grid import PlannedRun
from depthlab.study.methods import Method, by_depth, methods_of, results_folder
from depthlab.study.plan import Plan
from depthlab.text import printable
from depthlab.tracking.names import DEPTH
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Recorded, Records

GRID = "grid.json"  # artifact of a parent run that lists its planned runs


def open_parents(
    records: Records, study: str, plan: Plan, colors: Mapping[str, str], keep_others: bool
) -> list[Method]:
    """Open the parent run of every method: a parent with the results of this grid is reused, else it is created.

    A reused parent that has lost its list of runs gets it again.

    MLflow keeps both values if a metric is written twice for one depth, so an outdated parent is deleted. The runs
    below it are never deleted: they move to the new parent.

    Args:
        colors: colour of each method, by label.
        keep_others: keep the parents of methods that are not in the plan.
    """
    methods = methods_of(plan.runs)
    outdated: list[Recorded] = []
    old: dict[tuple[str, str], Recorded] = {}
    for parent in records.runs(_of_study(study)):
        if parent.outdated:
            outdated.append(parent)
            continue
        key = parent.tags["dataset"], parent.tags["method"]
        outdated += [old[key]] if key in old else []
        old[key] = parent
    todo = {run.hash for run in plan.todo}
    for method in methods:
        grid = json.dumps([_row(run, plan) for run in method.runs])
        previous = old.pop(method.key, None)
        complete = not any(run.hash in todo for run in method.runs)
        same = previous is not None and previous.tags.get("content") == _content(method, plan)
        if previous and complete and same and previous.status == "FINISHED":
            method.parent = previous.run_id
            if not _lists(records, previous, grid):  # its artifacts were lost
                records.text(previous.run_id, grid, GRID)
            continue
        reusable = previous is not None and not previous.metrics
        outdated += [previous] if previous and not reusable else []
        method.tracked = TrackedRun(
            records.uri,
            records.experiment,
            f"{study}: {method.dataset} {method.label}",
            {"study": study, "dataset": method.dataset, "method": method.label},
            {
                "kind": "study",
                "study": study,
                "dataset": method.dataset,
                "method": method.label,
                "outcome": "running",
                "order": str(list(colors).index(method.label)),
                "mlflow.runColor": colors[method.label],
            },
            run_id=previous.run_id if previous and reusable else None,
        )
        method.parent = method.tracked.run_id
        method.tracked.text(grid, GRID)
    for parent in [*outdated, *(old.values() if not keep_others else [])]:
        records.delete(parent.run_id)
    gone = [label for _, label in old] if not keep_others else []
    if gone:
        names = printable(", ".join(gone))
        print(f"study {study} had other methods before, {names}: its record now has this grid (their runs stay)")
    _adopt(records, plan, methods)
    for method in methods:
        write_points(method, plan)
    return methods


def write_points(method: Method, plan: Plan) -> None:
    """Write the metrics of each depth, once all its runs have results, to the parent run if it is still open."""
    if method.tracked is None:
        return
    missing = {run.depth for run in method.runs if run.hash not in plan.done}
    for depth, values in by_depth(method, plan).items():
        if depth not in missing:
            _write_point(method, depth, values)


def _write_point(method: Method, depth: int, values: Mapping[str, Any]) -> None:
    if method.tracked and depth not in method.written:  # MLflow would keep both values
        method.written.add(depth)
        method.tracked.log({f"{DEPTH}{name}": value for name, value in values.items() if name != "verdicts"}, depth)


class Curves:
    """Writes the curves by depth while a study runs, so that MLflow can draw them before its end.

    Args:
        records: where the runs are recorded.
        methods: with their parent runs.
        plan: receives the new results.
        runs: those to train.
    """

    def __init__(self, records: Records, methods: Iterable[Method], plan: Plan, runs: Iterable[PlannedRun]) -> None:
        self.records, self.plan = records, plan
        self.methods = {method.key: method for method in methods}
        self.left = Counter((run.dataset, run.method, run.depth) for run in runs)

    def ended(self, run: PlannedRun) -> None:
        """Note that a run has ended; the last one of its depth completes a point of the curve."""
        key = run.dataset, run.method, run.depth
        self.left[key] -= 1
        method = self.methods[key[:2]]
        if self.left[key] == 0:
            with suppress(UserError):  # the store does not answer: what is missing is written at the end
                self.plan.add(self.records.runs(f"tags.`{PARENT}` = '{method.parent}'"))
                write_points(method, self.plan)


def close_parents(study: str, methods: Iterable[Method], plan: Plan, complete: bool) -> None:
    """Write the curves by depth to MLflow, for parents that are still open, and to JSON.

    Args:
        plan: made after the runs have ended.
        complete: whether the study came to its end; only then results are written.
    """
    for method in methods:
        points = by_depth(method, plan)
        if complete:
            with lock_of(results_folder(study)):  # a report replaces this folder
                write_json(method.file(study), points)
        if method.tracked is None:
            continue
        if not complete:
            method.tracked.abandon("KILLED", "interrupted")
            continue
        for depth, values in points.items():
            _write_point(method, depth, values)
        verdicts = "; ".join(f"{depth}: {values['verdicts']}" for depth, values in points.items())
        method.tracked.flush()  # the tag `content` promises that all metrics are recorded
        method.tracked.tag({"content": _content(method, plan), "verdicts": verdicts})
        has_result = any(run.hash in plan.done for run in method.runs)
        method.tracked.finish(*(("FINISHED", "finished") if has_result else ("FAILED", "failed")))


def _of_study(study: str) -> str:
    return f"tags.kind = 'study' and tags.study = '{study}'"


def _row(run: PlannedRun, plan: Plan) -> dict[str, Any]:
    return {
        "config_hash": run.hash,
        "data_hash": plan.data[run.hash],
        "depth": run.depth,
        "seed": run.seed,
        "split": run.split,
        "animated": run.animated,
    }


def _lists(records: Records, parent: Recorded, grid: str) -> bool:
    """Whether a parent run has this list of runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = records.file(parent.run_id, GRID, Path(folder))
        return path is not None and path.read_text() == grid


def _content(method: Method, plan: Plan) -> str:
    """Hash of a method's planned runs and their recorded runs, which determine what its parent shows."""
    rows = [[_row(run, plan), plan.done[run.hash].run_id if run.hash in plan.done else ""] for run in method.runs]
    return hashlib.md5(json.dumps(rows).encode()).hexdigest()


def _adopt(records: Records, plan: Plan, methods: Iterable[Method]) -> None:
    """Set the parent of finished runs that have none, or whose parent is deleted."""
    alive = {parent.run_id for parent in records.runs("tags.kind = 'study'")}
    for method in methods:
        for run in method.runs:
            result = plan.done.get(run.hash)
            if result and result.tags.get(PARENT) not in alive:
                records.tag(result.run_id, PARENT, method.parent)

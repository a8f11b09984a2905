"""Parent runs: one a method, with metrics by step = depth, the list of its planned runs and a JSON file."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from depthlab.files import lock_of, write_json
from depthlab.study.grid import PlannedRun
from depthlab.study.methods import Method, by_depth, methods_of, point, results_folder
from depthlab.study.plan import Plan
from depthlab.text import printable
from depthlab.tracking.names import DEPTH
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Recorded, Records

GRID = "grid.json"  # artifact of a parent run that lists its planned runs
POINT = "point/"  # before a depth: tag of a parent run, which promises that the metrics of the depth are recorded


def open_parents(
    records: Records, study: str, plan: Plan, colors: Mapping[str, str], keep_others: bool
) -> list[Method]:
    """Open the parent run of every method: a parent with the results of this grid is reused, else it is created.

    A reused parent that has lost its list of runs gets it again.

    A parent of an interrupted study is reused if the points that it has are of the present results. MLflow keeps both
    values if a metric is written twice for one depth, so an outdated parent is deleted. The runs
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
        same = previous is not None and previous.tags.get("content") == _content(method.runs, plan)
        if previous and complete and same and previous.status == "FINISHED":
            method.parent = previous.run_id
            if not _lists(records, previous, grid):  # its artifacts were lost
                records.text(previous.run_id, grid, GRID)
            continue
        written = None
        if previous and not (previous.metrics and previous.status == "FINISHED"):
            written = _points(records, previous, method, plan)
        outdated += [previous] if previous and written is None else []
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
            run_id=previous.run_id if previous and written is not None else None,
        )
        method.written = written or set()
        method.parent = method.tracked.run_id
        method.tracked.text(grid, GRID)
    for parent in [*outdated, *(old.values() if not keep_others else [])]:
        records.delete(parent.run_id)
    gone = [label for _, label in old] if not keep_others else []
    if gone:
        names = printable(", ".join(gone))
        print(f"study {study} had other methods before, {names}: its record now has this grid (their runs stay)")
    _adopt(records, plan, methods)
    return methods


class Curves:
    """Writes each point of the curves to MLflow as soon as all runs of its depth have results.

    Args:
        records: where the runs are recorded.
        methods: with their parent runs.
        plan: receives the new results.
    """

    def __init__(self, records: Records, methods: Iterable[Method], plan: Plan) -> None:
        self.records, self.plan, self.reads = records, plan, True
        self.methods = {method.key: method for method in methods}
        self.left = Counter((run.dataset, run.method, run.depth) for run in plan.todo)
        for method in self.methods.values():
            for depth in {run.depth for run in method.runs}:
                self._write(method, depth)

    def ended(self, run: PlannedRun) -> None:
        """Note that a run has ended."""
        method = self.methods[run.dataset, run.method]
        key = (*method.key, run.depth)
        self.left[key] -= 1
        if self.left[key] or not self.reads or method.tracked is None:
            return
        try:
            self.plan.add(self.records.runs(f"tags.`{PARENT}` = '{method.parent}' and tags.depth = '{run.depth}'"))
        except Exception:  # no answer, or one that MLflow cannot read: `close_parents` writes what is missing
            self.reads = False
        self._write(method, run.depth)

    def _write(self, method: Method, depth: int) -> None:
        if all(run.hash in self.plan.done for run in method.at(depth)):
            _write_point(method, depth, self.plan)


def _write_point(method: Method, depth: int, plan: Plan) -> None:
    """Write the metrics of a depth to the parent run, once: MLflow would keep both values."""
    if method.tracked is None or depth in method.written:
        return
    method.written.add(depth)
    values = point(method.at(depth), plan)
    method.tracked.log({f"{DEPTH}{name}": value for name, value in values.items() if name != "verdicts"}, depth)
    method.tracked.tag({f"{POINT}{depth}": _content(method.at(depth), plan)})


def _points(records: Records, parent: Recorded, method: Method, plan: Plan) -> set[int] | None:
    """The depths that an unfinished parent run has; None if one of them is not of the present results."""
    steps = records.steps(parent.run_id, f"{DEPTH}runs")
    same = all(parent.tags.get(f"{POINT}{depth}") == _content(method.at(depth), plan) for depth in steps)
    return steps if same and steps <= {run.depth for run in method.runs} else None


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
        for depth in points:
            _write_point(method, depth, plan)
        verdicts = "; ".join(f"{depth}: {values['verdicts']}" for depth, values in points.items())
        method.tracked.flush()  # the tag `content` promises that all metrics are recorded
        method.tracked.tag({"content": _content(method.runs, plan), "verdicts": verdicts})
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


def _content(runs: Iterable[PlannedRun], plan: Plan) -> str:
    """Hash of planned runs of a method and their recorded runs, which determine what its parent shows of them."""
    rows = [[_row(run, plan), plan.done[run.hash].run_id if run.hash in plan.done else ""] for run in runs]
    return hashlib.md5(json.dumps(rows).encode()).hexdigest()


def _adopt(records: Records, plan: Plan, methods: Iterable[Method]) -> None:
    """Set the parent of finished runs that have none, or whose parent is deleted."""
    alive = {parent.run_id for parent in records.runs("tags.kind = 'study'")}
    for method in methods:
        for run in method.runs:
            result = plan.done.get(run.hash)
            if result and result.tags.get(PARENT) not in alive:
                records.tag(result.run_id, PARENT, method.parent)

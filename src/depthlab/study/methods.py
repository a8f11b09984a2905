"""The methods of a study as parent runs: metrics with step = depth, in MLflow and as one JSON file a method."""

import hashlib
import json
import math
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthlab import folders
from depthlab.config.errors import UserError
from depthlab.files import lock_of, write_json
from depthlab.measures.registry import MEASURES, selectable
from depthlab.statistics import Summary, counted, over_runs, summarize
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import Plan
from depthlab.tasks.metrics import METRICS, recorded
from depthlab.text import file_name, printable, slug
from depthlab.tracking.names import DEPTH
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Recorded, Records

# Okabe & Ito's colours, distinct for all kinds of colour vision; yellow is left out, it vanishes on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")
GRID = "grid.json"  # artifact of a parent run that lists its planned runs
SCORES = {  # name in a report and of a parent's metric -> name that a run records
    f"{part}_{name}": recorded(part, name) for name in METRICS for part in ("train", "val", "test")
}


@dataclass
class Method:
    """One method on one dataset.

    Attributes:
        dataset, label: its names.
        runs: its planned runs.
        parent: id of its parent run.
        tracked: the parent run while it has to be written, else None.
    """

    dataset: str
    label: str
    runs: list[PlannedRun] = field(default_factory=list)
    parent: str = ""
    tracked: TrackedRun | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.dataset, self.label

    @property
    def slug(self) -> str:
        """Dataset and label as a file name."""
        return slug(f"{self.dataset} {self.label}")

    def file(self, study: str) -> Path:
        """Where its summary is written: `results/STUDY/methods/DATASET-LABEL.json`."""
        return results_folder(study) / "methods" / f"{self.slug}.json"


def results_folder(study: str) -> Path:
    """The folder of a study's methods and report, `results/STUDY`; hold `lock_of` it to write there."""
    return folders.results() / file_name(study)


def methods_of(runs: Iterable[PlannedRun]) -> list[Method]:
    """The runs grouped by method, in the order in which the methods first appear.

    Raises:
        UserError: the labels of two methods differ in case and punctuation alone.
    """
    methods: dict[tuple[str, str], Method] = {}
    for run in runs:
        methods.setdefault((run.dataset, run.method), Method(run.dataset, run.method)).runs.append(run)
    names = Counter(method.slug for method in methods.values())
    for method in methods.values():
        if names[method.slug] > 1:
            raise UserError(f"two methods would write the file {method.slug}.json: rename '{printable(method.label)}'")
    return list(methods.values())


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
    return methods


def method_looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes (as Matplotlib names them) of every method of a study; dashes once the colours are used up."""
    names = enumerate(dict.fromkeys(labels))
    return {label: (COLORS[k % len(COLORS)], DASHES[k // len(COLORS) % len(DASHES)]) for k, label in names}


def method_colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every method of a study, the same in MLflow and in all pictures."""
    return {label: color for label, (color, _) in method_looks(labels).items()}


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
    found = [[_row(run, plan), plan.done[run.hash].run_id if run.hash in plan.done else ""] for run in method.runs]
    return hashlib.md5(json.dumps(found).encode()).hexdigest()


def _adopt(records: Records, plan: Plan, methods: Iterable[Method]) -> None:
    """Set the parent of finished runs that have none, or whose parent is deleted."""
    alive = {parent.run_id for parent in records.runs("tags.kind = 'study'")}
    for method in methods:
        for run in method.runs:
            result = plan.done.get(run.hash)
            if result and result.tags.get(PARENT) not in alive:
                records.tag(result.run_id, PARENT, method.parent)


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
            metrics = {f"{DEPTH}{name}": value for name, value in values.items() if name != "verdicts"}
            method.tracked.log(metrics, depth)
        verdicts = "; ".join(f"{depth}: {values['verdicts']}" for depth, values in points.items())
        method.tracked.flush()  # the tag `content` promises that all metrics are recorded
        method.tracked.tag({"content": _content(method, plan), "verdicts": verdicts})
        has_result = any(run.hash in plan.done for run in method.runs)
        method.tracked.finish(*(("FINISHED", "finished") if has_result else ("FAILED", "failed")))


def by_depth(method: Method, plan: Plan) -> dict[int, dict[str, Any]]:
    """Depth -> metrics of the parent run: means of scores, medians of the last layer's measures, and the verdicts.

    `runs` counts all runs of a depth. If some lack a value of a metric, `METRIC_runs` counts those that have one: a
    diverged run has no scores, and its measures are of the last finite state; a failed run has no values.
    """
    depths = sorted({run.depth for run in method.runs})
    return {depth: _point([run for run in method.runs if run.depth == depth], plan) for depth in depths}


def _point(runs: list[PlannedRun], plan: Plan) -> dict[str, Any]:
    """The metrics of the runs of one method and depth."""
    results = [plan.done.get(run.hash) for run in runs]
    finished = [result if result and result.tags["outcome"] == "finished" else None for result in results]
    point: dict[str, Any] = {"runs": len(runs)}

    def put(name: str, value: float, summary: Summary) -> None:
        if summary.n:
            point[name] = value
        if summary.n and summary.missing:
            point[f"{name}_runs"] = summary.runs

    for name, metric in SCORES.items():
        values = [_metric(result, metric) for result in results]
        summary = over_runs({(run.seed, run.split): value for run, value in zip(runs, values, strict=True)})
        put(name, summary.mean, summary)
        if metric.startswith("test") and summary.has_interval:
            low, high = summary.low, summary.high
            if METRICS[metric.removeprefix("test_")].percent:
                low, high = max(0.0, low), min(1.0, high)
            point |= {f"{name}_low": low, f"{name}_high": high}
    for name in selectable("layer"):
        values = [_metric(result, MEASURES[name].metric) for result in finished]
        present = [value for value in values if not math.isnan(value)]
        put(name, statistics.median(present or [math.nan]), summarize(values))
    seconds = summarize([result.training_seconds if result else math.nan for result in results])
    put("seconds", seconds.mean, seconds)
    point["verdicts"] = counted(
        result.tags.get("verdict", result.tags["outcome"]) if result else "without a result" for result in results
    )
    return point


def _metric(result: Recorded | None, name: str) -> float:
    """A finite metric of a run, else NaN."""
    value = result.metrics.get(name, math.nan) if result else math.nan
    return value if math.isfinite(value) else math.nan

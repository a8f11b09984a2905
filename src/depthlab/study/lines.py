"""A study's lines as parent runs: accuracy, energy and rank with step = depth, in MLflow and as one JSON a line."""

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

from depthlab.config.errors import UserError
from depthlab.files import lock_of, write_json
from depthlab.folders import results
from depthlab.measures.registry import MEASURES, selectable
from depthlab.statistics import Summary, counted, over_runs, summarize
from depthlab.study.grid import Cell
from depthlab.study.plan import Plan
from depthlab.tasks.metrics import METRICS, recorded
from depthlab.text import file_name, printable, slug
from depthlab.tracking.names import DEPTH
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Recorded, Records

# Okabe & Ito's colours, distinct for all kinds of colour vision; yellow is left out, it vanishes on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")
GRID = "grid.json"  # the artifact of a parent run that lists its cells
MEANS = {  # score of a parent run -> score of its runs
    f"{part}_{name}": recorded(part, name) for part in ("test", "val", "train") for name in METRICS
}


@dataclass
class Line:
    """One line on one dataset.

    Attributes:
        dataset, label: what it is.
        cells: all of its cells.
        parent: id of its parent run.
        tracked: the parent run where it has still to be written, else None.
    """

    dataset: str
    label: str
    cells: list[Cell] = field(default_factory=list)
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
        """Where its summary is written: `results/STUDY/lines/DATASET-LABEL.json`."""
        return results_folder(study) / "lines" / f"{self.slug}.json"


def results_folder(study: str) -> Path:
    """The folder of a study's lines and report, `results/STUDY`; hold `lock_of` it to write there."""
    return results() / file_name(study)


def lines_of(cells: Iterable[Cell]) -> list[Line]:
    """The cells sorted into lines, in the order in which the lines first appear.

    Raises:
        UserError: the labels of two lines are the same but for case and punctuation.
    """
    lines: dict[tuple[str, str], Line] = {}
    for cell in cells:
        lines.setdefault((cell.dataset, cell.line), Line(cell.dataset, cell.line)).cells.append(cell)
    names = Counter(line.slug for line in lines.values())
    for line in lines.values():
        if names[line.slug] > 1:
            raise UserError(f"two lines would write the file {line.slug}.json: rename '{printable(line.label)}'")
    return list(lines.values())


def open_parents(records: Records, study: str, plan: Plan, colors: Mapping[str, str], keep_others: bool) -> list[Line]:
    """Open the parent run of every line; one with the results of this grid is reused, else it is created anew.

    A reused parent that has lost its list of cells gets it again.

    MLflow keeps both values if a metric is written twice for one depth, so an outdated parent is deleted. The cells
    below it are never deleted: they move to the new parent.

    Args:
        colors: of the lines, by label.
        keep_others: leave the parents of lines that are not in the plan.
    """
    lines = lines_of(plan.cells)
    outdated: list[Recorded] = []
    old: dict[tuple[str, str], Recorded] = {}
    for run in records.runs(_of_study(study)):
        key = run.tags["dataset"], run.tags["line"]
        outdated += [old[key]] if key in old else []
        old[key] = run
    todo = {cell.hash for cell in plan.todo}
    for line in lines:
        grid = json.dumps([_row(cell, plan) for cell in line.cells])
        previous = old.pop(line.key, None)
        complete = not any(cell.hash in todo for cell in line.cells)
        same = previous is not None and previous.tags.get("content") == _content(line, plan)
        if previous and complete and same and previous.status == "FINISHED":
            line.parent = previous.run_id
            if not _lists(records, previous, grid):  # its artifacts were lost
                records.text(previous.run_id, grid, GRID)
            continue
        reusable = previous is not None and not previous.metrics
        outdated += [previous] if previous and not reusable else []
        line.tracked = TrackedRun(
            records.uri,
            records.experiment,
            f"{study}: {line.dataset} {line.label}",
            {"study": study, "dataset": line.dataset, "line": line.label},
            {
                "kind": "study",
                "study": study,
                "dataset": line.dataset,
                "line": line.label,
                "outcome": "running",
                "order": str(list(colors).index(line.label)),
                "mlflow.runColor": colors[line.label],
            },
            run_id=previous.run_id if previous and reusable else None,
        )
        line.parent = line.tracked.run_id
        line.tracked.text(grid, GRID)
    for run in [*outdated, *(old.values() if not keep_others else [])]:
        records.delete(run.run_id)
    gone = [label for _, label in old] if not keep_others else []
    if gone:
        names = printable(", ".join(gone))
        print(f"study {study} had other lines before, {names}: its record now has this grid (their runs stay)")
    _adopt(records, plan, lines)
    return lines


def line_looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes (as Matplotlib names them) of every line of a study; dashes once the colours are used up."""
    names = enumerate(dict.fromkeys(labels))
    return {label: (COLORS[k % len(COLORS)], DASHES[k // len(COLORS) % len(DASHES)]) for k, label in names}


def line_colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every line of a study, the same in MLflow and in all pictures."""
    return {label: color for label, (color, _) in line_looks(labels).items()}


def _of_study(study: str) -> str:
    return f"tags.kind = 'study' and tags.study = '{study}'"


def _row(cell: Cell, plan: Plan) -> dict[str, Any]:
    return {
        "config_hash": cell.hash,
        "data_hash": plan.data[cell.hash],
        "depth": cell.depth,
        "seed": cell.seed,
        "split": cell.split,
        "film": cell.film,
    }


def _lists(records: Records, parent: Recorded, grid: str) -> bool:
    """Whether a parent run has a list of cells and it is this one."""
    with tempfile.TemporaryDirectory() as folder:
        path = records.file(parent.run_id, GRID, Path(folder))
        return path is not None and path.read_text() == grid


def _content(line: Line, plan: Plan) -> str:
    """Hash of a line's cells and of the runs that they have: what its parent shows is of these."""
    found = [[_row(cell, plan), plan.done[cell.hash].run_id if cell.hash in plan.done else ""] for cell in line.cells]
    return hashlib.md5(json.dumps(found).encode()).hexdigest()


def _adopt(records: Records, plan: Plan, lines: Iterable[Line]) -> None:
    """Put finished cells whose parent is gone, or that never had one, below their line."""
    alive = {run.run_id for run in records.runs("tags.kind = 'study'")}
    for line in lines:
        for cell in line.cells:
            run = plan.done.get(cell.hash)
            if run and run.tags.get(PARENT) not in alive:
                records.tag(run.run_id, PARENT, line.parent)


def close_parents(study: str, lines: Iterable[Line], plan: Plan, complete: bool) -> None:
    """Write the curves by depth of every line that has still to be written, to MLflow and as JSON.

    Args:
        plan: made after the cells have run.
        complete: whether the study came to its end; what it holds so far is written only then.
    """
    for line in lines:
        points = by_depth(line, plan)
        if complete:
            with lock_of(results_folder(study)):  # a report replaces this folder
                write_json(line.file(study), points)
        if line.tracked is None:
            continue
        if not complete:
            line.tracked.abandon("KILLED", "interrupted")
            continue
        for depth, values in points.items():
            metrics = {f"{DEPTH}{name}": value for name, value in values.items() if name != "verdicts"}
            line.tracked.log(metrics, depth)
        verdicts = "; ".join(f"{depth}: {values['verdicts']}" for depth, values in points.items())
        line.tracked.flush()  # the tag says that all is there
        line.tracked.tag({"content": _content(line, plan), "verdicts": verdicts})
        line.tracked.finish("FINISHED", "finished")


def by_depth(line: Line, plan: Plan) -> dict[int, dict[str, Any]]:
    """Depth -> metrics of the parent run: means of scores, medians of the last layer's measures, and the verdicts.

    `runs` counts all runs of a depth. If some lack a value of a metric, `METRIC_runs` counts those that have one: a
    diverged run has no scores, and its measures are of the last finite state; a failed run has no values.
    """
    depths = sorted({cell.depth for cell in line.cells})
    return {depth: _point([cell for cell in line.cells if cell.depth == depth], plan) for depth in depths}


def _point(cells: list[Cell], plan: Plan) -> dict[str, Any]:
    """The metrics of the cells of one line and depth."""
    runs = [plan.done.get(cell.hash) for cell in cells]
    finished = [run if run and run.tags["outcome"] == "finished" else None for run in runs]
    point: dict[str, Any] = {"runs": len(cells)}

    def put(name: str, value: float, summary: Summary) -> None:
        if summary.n:
            point[name] = value
        if summary.n and summary.missing:
            point[f"{name}_runs"] = summary.runs

    for name, metric in MEANS.items():
        values = [_metric(run, metric) for run in runs]
        summary = over_runs({(cell.seed, cell.split): value for cell, value in zip(cells, values, strict=True)})
        put(name, summary.mean, summary)
        if metric.startswith("test") and summary.has_interval:
            low, high = summary.low, summary.high
            if METRICS[metric.removeprefix("test_")].percent:
                low, high = max(0.0, low), min(1.0, high)
            point |= {f"{name}_low": low, f"{name}_high": high}
    for name in selectable("layer"):
        values = [_metric(run, MEASURES[name].metric) for run in finished]
        present = [value for value in values if not math.isnan(value)]
        put(name, statistics.median(present or [math.nan]), summarize(values))
    seconds = summarize([run.training_seconds if run else math.nan for run in runs])
    put("seconds", seconds.mean, seconds)
    point["verdicts"] = counted(
        run.tags.get("verdict", run.tags["outcome"]) if run else "without a result" for run in runs
    )
    return point


def _metric(run: Recorded | None, name: str) -> float:
    """A finite metric of a run, else NaN."""
    value = run.metrics.get(name, math.nan) if run else math.nan
    return value if math.isfinite(value) else math.nan

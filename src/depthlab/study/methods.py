"""The methods of a study: their planned runs, colours, and statistics by depth."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthlab import folders
from depthlab.config.errors import UserError
from depthlab.measures.registry import MEASURES, selectable
from depthlab.statistics import Summary, counted, over_runs, summarize
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import Plan
from depthlab.tasks.metrics import METRICS, recorded
from depthlab.text import file_name, printable, slug
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Recorded

# Okabe & Ito's colours, distinct for all kinds of colour vision, without yellow, which vanishes on white, and black;
# then four of Tol's.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288", "#777777")
DASHES = ("-", "--", ":", "-.")
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
        written: the depths whose metrics are in the parent run.
    """

    dataset: str
    label: str
    runs: list[PlannedRun] = field(default_factory=list)
    parent: str = ""
    tracked: TrackedRun | None = None
    written: set[int] = field(default_factory=set)

    @property
    def key(self) -> tuple[str, str]:
        return self.dataset, self.label

    @property
    def slug(self) -> str:
        """Dataset and label as a file name."""
        return slug(f"{self.dataset} {self.label}")

    def at(self, depth: int) -> list[PlannedRun]:
        """Its planned runs of one depth."""
        return [run for run in self.runs if run.depth == depth]

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


def method_looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes (as Matplotlib names them) of every method of a study; both change from each to the next.

    Neighbours differ without colour, and a curve under an equal one shows through its gaps; twenty differ.
    """
    names = enumerate(dict.fromkeys(labels))
    return {label: (COLORS[k % len(COLORS)], DASHES[k % len(DASHES)]) for k, label in names}


def method_colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every method of a study, the same in MLflow and in all pictures."""
    return {label: color for label, (color, _) in method_looks(labels).items()}


def by_depth(method: Method, plan: Plan) -> dict[int, dict[str, Any]]:
    """Depth -> `point` of the method."""
    return {depth: point(method.at(depth), plan) for depth in sorted({run.depth for run in method.runs})}


def point(runs: list[PlannedRun], plan: Plan) -> dict[str, Any]:
    """Metrics of a parent run at one depth: means of scores, medians of the last layer's measures, and the verdicts.

    `runs` counts all runs of the depth. If some lack a value of a metric, `METRIC_runs` counts those that have one: a
    diverged run has no scores, and its measures are of the last finite state; a failed run has no values.

    Args:
        runs: those of one method at this depth.
    """
    results = [plan.done.get(run.hash) for run in runs]
    finished = [result if result and result.tags["outcome"] == "finished" else None for result in results]
    made: dict[str, Any] = {"runs": len(runs)}

    def put(name: str, value: float, summary: Summary) -> None:
        if summary.n:
            made[name] = value
        if summary.n and summary.missing:
            made[f"{name}_runs"] = summary.runs

    for name, metric in SCORES.items():
        values = [_metric(result, metric) for result in results]
        summary = over_runs({(run.seed, run.split): value for run, value in zip(runs, values, strict=True)})
        put(name, summary.mean, summary)
        if metric.startswith("test") and summary.has_interval:
            low, high = summary.low, summary.high
            if METRICS[metric.removeprefix("test_")].percent:
                low, high = max(0.0, low), min(1.0, high)
            made |= {f"{name}_low": low, f"{name}_high": high}
    for name in selectable("layer"):
        values = [_metric(result, MEASURES[name].metric) for result in finished]
        present = [value for value in values if not math.isnan(value)]
        put(name, statistics.median(present or [math.nan]), summarize(values))
    seconds = summarize([result.training_seconds if result else math.nan for result in results])
    put("seconds", seconds.mean, seconds)
    made["verdicts"] = counted(
        result.tags.get("verdict", result.tags["outcome"]) if result else "without a result" for result in results
    )
    return made


def _metric(result: Recorded | None, name: str) -> float:
    """A finite metric of a run, else NaN."""
    value = result.metrics.get(name, math.nan) if result else math.nan
    return value if math.isfinite(value) else math.nan

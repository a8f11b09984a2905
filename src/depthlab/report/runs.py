"""Reads a recorded study: one row for each planned run, curves by layer, states for the animation."""

import json
import math
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depthlab.config.errors import UserError
from depthlab.config.modules import MODULE
from depthlab.config.schema import OPTION_GROUPS
from depthlab.config.settings import EXECUTION_SETTINGS
from depthlab.measures.registry import Measure, in_report
from depthlab.report.animation import Animation, reduced
from depthlab.report.question import question
from depthlab.study.methods import SCORES
from depthlab.study.parents import GRID
from depthlab.tasks.metrics import METRICS
from depthlab.tracking.names import RENAMED
from depthlab.tracking.search import Recorded, Records
from depthlab.tracking.ui import run_link
from depthlab.training.identity import STATES, code_hash, overrides_of

DIGITS = 4  # of the values of a curve
STATISTICS = ("chance", "chance_test", "task_range", "best_epoch", "epochs_run")
# columns that are dropped if no run has a value, as are those of unreported metrics
OF_SOME = ("repulsion", "size", "task_range", "chance", "chance_test")


@dataclass
class Report:
    """What the tables, the figures and the page are made from.

    Attributes:
        study: its name.
        runs: one row per run; measures are those of the last layer, empty for a diverged run.
        curves: measures by layer and by hop of each run, by run id and measure, with four digits; of a diverged run
            those of its last finite state.
        animations: of the runs with recorded states.
        animations_asked: number of runs that were to record states.
        without_states: the overrides, by name, of the runs that should have recorded states but reuse an earlier run
            without them.
        other_code: number of runs that another version of the code computed.
        question: what the study asks, in a sentence.
        link: address of a run in MLflow, with RUN for its id; empty if the store is not known.
    """

    study: str
    runs: pd.DataFrame
    curves: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    animations: list[Animation] = field(default_factory=list)
    without_states: dict[str, str] = field(default_factory=dict)
    animations_asked: int = 0
    other_code: int = 0
    question: str = ""
    link: str = ""


def rounded(values: list[float]) -> list[float]:
    """With DIGITS digits, which the committed files keep too."""
    return [float(f"{value:.{DIGITS - 1}e}") for value in values]


def read_report(records: Records, study: str) -> Report:
    """Read a study back.

    A planned run is looked up by its hashes of settings and data, whichever command recorded it; the latest result
    counts. Without a result the row has the outcome of the last attempt, or `missing`.

    Raises:
        UserError: there is no such study, the list of runs of a method cannot be read, or the store does not answer.
    """
    studies = records.runs("tags.kind = 'study'")
    parents = [run for run in studies if run.tags["study"] == study]
    if not parents:
        known = sorted({run.tags["study"] for run in studies})
        names = f"choose one of {', '.join(known)}, or" if known else "no study is recorded there yet,"
        command = f"depthlab study {shlex.quote(f'study={study}')}"
        raise UserError(f"there is no record of a study named {study} in {records.uri}: {names} run it with {command}")
    if any(parent.outdated for parent in parents):
        raise _outdated(study)
    results: dict[tuple[str, str], Recorded] = {}
    attempts: dict[tuple[str, str], Recorded] = {}
    for recorded in records.runs("tags.config_hash != ''"):
        (results if recorded.is_result else attempts)[recorded.identity] = recorded
    latest = {(parent.tags["dataset"], parent.tags["method"]): parent for parent in parents}
    parents = sorted(latest.values(), key=lambda parent: int(parent.tags.get("order", 0)))
    report = Report(study, pd.DataFrame(), link=run_link(records.uri, records.experiment_id, "RUN"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for parent, entries in _grids(records, study, parents, Path(folder)):
            for entry in entries:
                identity = entry["config_hash"], entry["data_hash"]
                run, attempt = results.get(identity), attempts.get(identity)
                if attempt and attempt.outdated and not run:
                    raise _outdated(study)
                rows.append(_row(study, parent, entry, run, attempt))
                if run:
                    report.other_code += run.tags.get("code_hash") != _present_code(run.params)
                    for measure in [*in_report("layer"), *in_report("hop")]:
                        if measure.metric in run.metrics:
                            report.curves[run.run_id, measure.name] = rounded(records.curve(run.run_id, measure.metric))
                if entry["animated"]:
                    _add_animation(report, records, parent, entry["depth"], run, Path(folder))
    runs = pd.DataFrame(rows)
    shown = set(runs["metric"].dropna()) or {"acc"}
    others = [column for column in SCORES if column.partition("_")[2] not in shown]
    optional = [*others, *OF_SOME, *(measure.name for measure in in_report(states=True))]
    runs = runs.drop(columns=[name for name in optional if runs[name].isna().all()])
    report.runs = runs.drop(columns="rewiring") if (runs["rewiring"] == "none").all() else runs
    report.question = question(study, report.runs)
    return report


def _outdated(study: str) -> UserError:
    return UserError(
        f"study {study} was recorded by an older version with other names ({RENAMED}): run it again, depthlab study"
        f" study={study}; recorded runs with the present metric names are not trained again"
    )


Grid = list[dict[str, Any]]


def measured(runs: pd.DataFrame) -> list[Measure]:
    """The measures of the last layer's state that some run has."""
    return [measure for measure in in_report(states=True) if measure.name in runs]


def _grids(records: Records, study: str, parents: list[Recorded], folder: Path) -> list[tuple[Recorded, Grid]]:
    """Every method with its list of runs; raises UserError with the names of all methods whose list cannot be read."""
    grids: list[tuple[Recorded, Grid]] = []
    unreadable = []
    for parent in parents:
        path = records.file(parent.run_id, GRID, folder)
        try:
            grids.append((parent, json.loads(path.read_text() if path else "")))
        except ValueError:  # no file, no JSON, or no text
            unreadable.append(f"{parent.tags['method']} on {parent.tags['dataset']}")
    if unreadable:
        raise UserError(
            f"the report of {study} would be incomplete: the list of runs ({GRID}) cannot be read for"
            f" {', '.join(unreadable)}; the command that ran the study writes it again and trains no recorded run again"
        )
    return grids


def _add_animation(
    report: Report, records: Records, parent: Recorded, depth: int, run: Recorded | None, folder: Path
) -> None:
    """Add the animation of a run that was to record its states, if it has them."""
    report.animations_asked += 1
    states = records.file(run.run_id, STATES, folder) if run else None
    if run and states is None:
        name = f"{parent.tags['method']} with {depth} layers on {parent.tags['dataset']}"
        report.without_states[name] = _experiment(run.tags)
    elif run and states:
        with np.load(states) as content:
            where, diverged = (parent.tags["dataset"], parent.tags["method"], depth), run.tags["outcome"] == "diverged"
            classes = content["classes"].tolist() if "classes" in content else []
            full = Animation(*where, content["points"], content["y"], diverged, classes=classes)
            report.animations.append(reduced(full))


def _row(
    study: str, parent: Recorded, entry: dict[str, Any], run: Recorded | None, attempt: Recorded | None
) -> dict[str, Any]:
    metrics = run.metrics if run else {}
    states = {} if run and run.tags["outcome"] == "diverged" else metrics
    known = run or attempt
    tags, metric = (known or parent).tags, known.params.get("dataset.metric") if known else None
    return {
        "study": study,
        "dataset": parent.tags["dataset"],
        "model": tags.get("model"),
        "method": parent.tags["method"],
        "rewiring": tags.get("rewiring", "none"),
        "task": tags.get("dataset"),
        "metric": metric if metric in METRICS else None,
        "size": _size(known.params) if known else math.nan,
        "p_drop": float(known.params.get("p_drop", 0)) if known else math.nan,
        "repulsion": float(known.params.get("model.repulsion", math.nan)) if known else math.nan,
        "homophily": run.number("edge_homophily") if run else math.nan,
        "depth": entry["depth"],
        "seed": entry["seed"],
        "split": entry["split"],
        **{column: metrics.get(metric, math.nan) for column, metric in SCORES.items()},
        **{measure.name: states.get(measure.metric, math.nan) for measure in in_report(states=True)},
        **{name: run.number(name) if run else math.nan for name in STATISTICS},
        "seconds": run.training_seconds if run else math.nan,
        "outcome": run.tags["outcome"] if run else attempt.tags.get("outcome", "missing") if attempt else "missing",
        "verdict": run.tags.get("verdict", "unknown") if run else None,
        "evidence": run.tags.get("evidence") if run else None,
        "recipe": tags.get("recipe"),
        "overrides": _experiment(tags) if known else None,
        "code_hash": tags.get("code_hash"),
        "git_commit": tags.get("git_commit"),
        "data_hash": entry["data_hash"],
        "config_hash": entry["config_hash"],
        "run_id": run.run_id if run else None,
    }


def _present_code(params: Mapping[str, str]) -> str | None:
    """The code hash that a run would have now; None if a class that it used is gone."""
    groups = (*OPTION_GROUPS, "callbacks")  # as in `Settings.targets`
    targets = [params[key] for key in params if key.endswith("._target_") and key.split(".")[0] in groups]
    if MODULE in targets:
        targets.append(params["model.target"])
    with suppress(UserError):
        return code_hash(target for target in targets if "." in target)
    return None


def _size(params: Mapping[str, str]) -> float:
    """Radius or number of nodes of a generated task."""
    return float(params.get("dataset.radius", params.get("dataset.size", math.nan)))


def _experiment(tags: Mapping[str, str]) -> str:
    """The overrides of the experiment, without measures and addresses: a report is shared, paths are private."""
    left_out = (*EXECUTION_SETTINGS, "measures", "metrics")
    return shlex.join(text for text in overrides_of(tags) if text.split("=")[0].split(".")[0] not in left_out)

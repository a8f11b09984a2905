"""One tidy row for each cell of a study, and its curves by layer, as MLflow holds them."""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.errors import UserError
from src.settings import NOT_THE_EXPERIMENT
from src.study.lines import GRID
from src.study.plan import ENDED
from src.tracking.search import Recorded, Records
from src.train.identity import STATES

CURVES = ("dirichlet_energy", "rayleigh_quotient", "effective_rank", "gradient_norm_first_epoch", "max_abs")
BY_HOP = ("sensitivity_by_hop", "walk_weight_by_hop")
LAST = ("dirichlet_energy", "rayleigh_quotient", "effective_rank")  # of the last layer's state
SCORES = {  # column -> metric
    "train_acc": "best_train_acc",
    "val_acc": "best_val_acc",
    "test_acc": "test_acc",
    "test_roc_auc": "test_roc_auc",
    "dirichlet_energy": "dirichlet_energy",
    "rayleigh_quotient": "rayleigh_quotient",
    "effective_rank": "effective_rank",
    "chance": "chance",
    "task_range": "task_range",
    "best_epoch": "best_epoch",
    "epochs_run": "epochs_run",
}


OF_SOME = ("test_roc_auc", "repulsion", "size", "task_range", "chance")  # columns left out where no cell has a value


@dataclass
class Film:
    """States of one cell in the plane: `points` (layers, n, 2), and the class of each node."""

    dataset: str
    line: str
    depth: int
    points: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]

    @property
    def extent(self) -> float:
        """The largest coordinate: half the width of a frame that shows every point."""
        return float(np.abs(self.points).max()) or 1.0


@dataclass
class Report:
    """What the tables, the figures and the page are made from.

    Attributes:
        study: its name.
        cells: one row a cell; energy, quotient and rank are those of the last layer, none of a diverged run.
        curves: measures by layer of each cell, by run id and measure; of a diverged run those of the state before.
        films: of the cells that kept their states.
        by_hop: curves by hop distance of the cells that recorded them, as `curves`.
        unfilmed: what was typed for the cells that should have kept their states but had been run before, without.
    """

    study: str
    cells: pd.DataFrame
    curves: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    films: list[Film] = field(default_factory=list)
    by_hop: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    unfilmed: list[str] = field(default_factory=list)


def read_report(records: Records, study: str) -> Report:
    """Read a study back.

    A cell is found by the hash of its settings and data, wherever and whenever it was run; the latest run counts. One
    without a result keeps its row, with the outcome of its last try, or `missing`.

    Raises:
        UserError: there is no such study, its list of cells is gone, or the store does not answer.
    """
    studies = records.runs("tags.kind = 'study'")
    parents = [run for run in studies if run.tags["study"] == study]
    if not parents:
        known = sorted({run.tags["study"] for run in studies})
        names = f"choose one of {', '.join(known)}" if known else "there is none yet"
        raise UserError(f"no study {study} is recorded in {records.uri}: {names}, or run it, python -m src.study")
    results: dict[tuple[str, str], Recorded] = {}
    tries: dict[tuple[str, str], Recorded] = {}
    for run in records.runs("tags.config_hash != ''"):
        (results if run.tags.get("outcome") in ENDED else tries)[run.identity] = run
    latest = {(parent.tags["dataset"], parent.tags["line"]): parent for parent in parents}
    parents = sorted(latest.values(), key=lambda parent: int(parent.tags.get("order", 0)))
    rows, films, unfilmed = [], [], []
    curves: dict[tuple[str, str], list[float]] = {}
    by_hop: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for parent in parents:
            path = records.file(parent.run_id, GRID, Path(folder))
            for entry in json.loads(path.read_text()) if path else []:
                identity = entry["config_hash"], entry["data_hash"]
                found = results.get(identity)
                rows.append(_row(study, parent, entry, found, tries.get(identity)))
                for measure in (*CURVES, *BY_HOP):
                    if found and measure in found.metrics:
                        kept = by_hop if measure in BY_HOP else curves
                        kept[found.run_id, measure] = records.curve(found.run_id, measure)
                if not (found and entry["film"]):
                    continue
                states = records.file(found.run_id, STATES, Path(folder))
                if states is None:
                    unfilmed.append(_experiment(found.tags["command_line"]))
                else:
                    with np.load(states) as content:
                        where = parent.tags["dataset"], parent.tags["line"], entry["depth"]
                        films.append(Film(*where, content["points"].astype(np.float32), content["y"]))
    if not rows:
        raise UserError(f"the study {study} in {records.uri} has lost its list of cells: run it again, make study")
    cells = pd.DataFrame(rows)
    cells = cells.drop(columns=[name for name in OF_SOME if cells[name].isna().all()])
    if (cells["rewiring"] == "none").all():
        cells = cells.drop(columns="rewiring")
    return Report(study, cells, curves, films, by_hop, unfilmed)


def _row(
    study: str, parent: Recorded, entry: dict[str, Any], run: Recorded | None, tried: Recorded | None
) -> dict[str, Any]:
    metrics = run.metrics if run else {}
    known = run or tried
    tags = (known or parent).tags
    return {
        "study": study,
        "dataset": parent.tags["dataset"],
        "model": tags.get("model"),
        "line": parent.tags["line"],
        "rewiring": tags.get("rewiring", "none"),
        "task": tags.get("dataset"),
        "size": _size(known.params) if known else math.nan,
        "p_drop": float(known.params.get("p_drop", 0)) if known else math.nan,
        "repulsion": float(known.params.get("model.repulsion", math.nan)) if known else math.nan,
        "homophily": metrics.get("edge_homophily", math.nan),
        "depth": entry["depth"],
        "seed": entry["seed"],
        "split": entry["split"],
        **{column: metrics.get(metric, math.nan) for column, metric in SCORES.items()},
        **(dict.fromkeys(LAST, math.nan) if run and run.tags["outcome"] == "diverged" else {}),
        "seconds": run.training_seconds if run else math.nan,
        "outcome": run.tags["outcome"] if run else tried.tags.get("outcome", "missing") if tried else "missing",
        "verdict": run.tags.get("verdict", "unknown") if run else None,
        "evidence": run.tags.get("evidence") if run else None,
        "recipe": tags.get("recipe"),
        "typed": _experiment(tags["command_line"]) if "command_line" in tags else None,
        "code_hash": tags.get("code_hash"),
        "git_commit": tags.get("git_commit"),
        "data_hash": entry["data_hash"],
        "config_hash": entry["config_hash"],
        "run_id": run.run_id if run else None,
    }


def _size(params: Mapping[str, str]) -> float:
    """Radius or number of nodes of a generated task."""
    return float(params.get("dataset.radius", params.get("dataset.size", math.nan)))


def _experiment(typed: str) -> str:
    """What was typed, without what is measured and where it is recorded: a report is shown around, paths are not."""
    typed = re.sub(r"\bmeasures=\[.*?\]", "", typed)
    return " ".join(word for word in typed.split() if word.split("=")[0].split(".")[0] not in NOT_THE_EXPERIMENT)

"""The parts of a report's page: tables of verdicts, captions and legends of the animation, definitions."""

import base64
from typing import Any

import numpy as np
import pandas as pd

from depthlab.data.class_names import numbered
from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.glossary import DEFINITIONS, GLOSSES, glossed_first
from depthlab.measures.registry import in_report
from depthlab.report.animation import Animation
from depthlab.report.answers import answers
from depthlab.report.drawing import common_verdict
from depthlab.report.figures import recorded
from depthlab.report.protocol import by_run, protocol, reported, spread
from depthlab.report.runs import Report, measured
from depthlab.report.table import score, verdicts
from depthlab.statistics import counted
from depthlab.study.methods import COLORS
from depthlab.tasks.metrics import METRICS
from depthlab.text import printable

IN_LEGEND = 12  # most classes with a legend
Part = dict[str, Any]


def section(dataset: str, runs: pd.DataFrame) -> Part:
    """Answers and table of one dataset."""
    made = iter(cells(runs))
    depths = [int(depth) for depth in sorted(runs["depth"].unique())]
    rows = [{"method": name, "cells": [next(made) for _ in depths]} for name in dict.fromkeys(runs["method"])]
    column = f"test_{reported(runs)}"
    return {
        "dataset": dataset,
        "answers": answers(runs),
        "quantity": METRICS[reported(runs)].quantity,
        "depths": depths,
        "rows": rows,
        "verdicts": [name for name in VERDICTS if (runs["verdict"] == name).any()],
        "spread": spread(runs),
        "missing": column not in runs or bool(runs[column].isna().any()),
        "protocol": protocol(runs),
    }


def cells(runs: pd.DataFrame) -> list[Part]:
    """The cells of the table, row by row: one for each method and depth of one dataset."""
    depths = sorted(runs["depth"].unique())
    methods = runs.groupby("method", sort=False)
    pairs = [(name, depth, group[group["depth"] == depth]) for name, group in methods for depth in depths]
    return [_cell(key, str(name), int(depth), part) for key, (name, depth, part) in enumerate(pairs)]


def _cell(key: int, method: str, depth: int, runs: pd.DataFrame) -> Part:
    common = common_verdict(runs)
    evidence = runs[runs["verdict"] == common]["evidence"].tolist()
    metric, values = METRICS[reported(runs)], by_run(runs, f"test_{reported(runs)}")
    texts = [
        verdict if np.isnan(value) else f"{metric.shown(value)}, {verdict}"
        for value, verdict in zip(values.values(), verdicts(runs), strict=True)
    ]
    return {
        "key": key,
        "method": method,
        "depth": depth,
        "text": score(runs) if len(runs) else "",
        "verdicts": counted(verdicts(runs)),
        "verdict": common if common in VERDICTS else "unknown",
        "evidence": str(evidence[0]) if evidence else "",
        "runs": [
            {"seed": int(seed), "split": str(split), "text": text, "id": run_id if isinstance(run_id, str) else None}
            for (seed, split), text, run_id in zip(values, texts, runs["run_id"], strict=True)
        ],
    }


def caption(animation: Animation) -> str:
    """`GCN, cora, 32 layers, 1,500 of 2,708 nodes`."""
    shown = f", {len(animation.y):,} of {animation.nodes:,} nodes" if len(animation.y) < animation.nodes else ""
    ended = ", diverged: the last finite states" if animation.diverged else ""
    return f"{animation.method}, {animation.dataset}, {animation.depth} layers{shown}{ended}"


def points(animation: Animation) -> Part:
    """The animation for animation.js: points and classes as bytes."""
    encoded = (base64.b64encode(a.astype(np.uint8).tobytes()).decode() for a in (animation.in_bytes(), animation.y))
    return {"layers": list(animation.layers), **dict(zip(("points", "y"), encoded, strict=True))}


def notes(report: Report) -> list[Part]:
    """What is missing in the animation and how to add it."""
    noted = [
        {
            "text": f"{name} is not shown: an earlier run was reused, and it has no recorded states.",
            "command": printable(again_with_states(overrides)),
        }
        for name, overrides in report.without_states.items()
    ]
    missing = report.animations_asked - len(report.animations) - len(noted)
    if missing > 0:
        noted.append({"text": f"{missing} of {report.animations_asked} networks are not shown: they have no result."})
    return noted


def again_with_states(overrides: str) -> str:
    """The command that trains a run again and records its states."""
    return f'depthlab train {overrides} "tracking.artifacts=[config,figures,model,states]"'


def legends(animations: list[Animation]) -> list[Part]:
    """The classes of every dataset, with their colours."""
    made = []
    by_dataset = {animation.dataset: animation for animation in animations}
    for dataset, animation in by_dataset.items():
        count = int(max(len(animation.classes), animation.y.max(initial=0) + 1))
        if count > IN_LEGEND:
            made.append(Part(title=f"{dataset}: {count} classes, whose colours repeat", classes=[]))
            continue
        classes = [
            {"name": name, "color": COLORS[k % len(COLORS)]}
            for k, name in enumerate(numbered(animation.classes, count))
        ]
        made.append({"title": f"{dataset}:" if len(by_dataset) > 1 else "", "classes": classes})
    return made


def measures(report: Report) -> list[Part]:
    """Name, gloss and definition of the measures on the page, those without a unit of size first."""
    shown = {one.name: one for one in [*measured(report.runs), *recorded(report)]}
    shown |= {one.name: one for one in in_report("hop") if any(name == one.name for _, name in report.curves)}
    return [
        {
            "name": shown[name].label,
            "gloss": GLOSSES.get(name, "a measure of your own").capitalize(),
            "definition": DEFINITIONS.get(name, ""),
        }
        for name in glossed_first(shown)
    ]

"""The HTML page of a report, which works offline: answers, tables, charts, animation, definitions."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.glossary import MEANINGS
from depthlab.report.charts import charts
from depthlab.report.page_parts import caption, cells, legends, measures, notes, points, section
from depthlab.report.question import depths_of
from depthlab.report.runs import Report
from depthlab.study.methods import COLORS, method_looks

HERE = Path(__file__).parent
DASHES = {"-": "none", "--": "9 5", ":": "2 4", "-.": "10 4 2 4"}
FILES = {  # what the downloads hold
    "runs.csv": "every run with its scores, last measures, verdict and settings",
    "tables.md": "all tables, with published values and paired differences",
    "tables.tex": "the table of scores for LaTeX",
    "curves.json.gz": "the measures of every run by layer",
    "animation.npz": "the states of the animation",
}


def page(report: Report, files: Sequence[str] = (), pictures: Mapping[str, bytes] | None = None) -> str:
    """The HTML with all scripts, data and styles inside.

    Args:
        files: names of the files beside the page.
        pictures: PNG images, by description, for what the page does not draw itself.
    """
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    animations = sorted(report.animations, key=lambda animation: animation.dataset)
    datasets = [(str(name), runs) for name, runs in report.runs.groupby("dataset", sort=False)]
    looks = method_looks(report.runs["method"])
    drawn = [charts(report, runs, list(looks)) for _, runs in datasets]
    content = {
        "study": report.study,
        "link": report.link,
        "methods": [{"name": name, "color": look[0], "dash": DASHES[look[1]]} for name, look in looks.items()],
        "charts": drawn,
        "cells": [cells(runs) for _, runs in datasets],
    }
    frames = {"animations": [points(one) for one in animations], "colors": COLORS}
    return environment.get_template("page.html").render(
        style=_trusted((HERE / "page.css").read_text()),
        study=report.study,
        question=report.question,
        meta=_meta(report.runs),
        sections=[section(name, runs) | {"charts": each} for (name, runs), each in zip(datasets, drawn, strict=True)],
        pictures=[{"alt": text, "data": _data(picture)} for text, picture in (pictures or {}).items()],
        animations=[caption(animation) for animation in animations],
        animation_notes=notes(report),
        legends=legends(animations),
        last=max((max(animation.layers) for animation in animations), default=0),
        animation_data=_json(frames),
        animation_script=_trusted((HERE / "animation.js").read_text()),
        measures=measures(report),
        verdicts=[{"name": name, "meaning": MEANINGS[name]} for name in VERDICTS],
        files=[{"name": name, "text": FILES.get(name, "")} for name in files],
        linked=bool(report.link) and report.runs["run_id"].notna().any(),
        content=_json(content),
        charts_script=_trusted((HERE / "charts.js").read_text()),
    )


def _trusted(text: str) -> Markup:
    """Text of the package that is not escaped; all other text is."""
    return Markup(text)  # noqa: S704


def _json(content: Any) -> Markup:
    """JSON for a script element, which the text `</script>` would end."""
    return _trusted(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))


def _data(picture: bytes) -> Markup:
    return _trusted(f"data:image/png;base64,{base64.b64encode(picture).decode()}")


def _meta(runs: pd.DataFrame) -> str:
    """Number of runs, methods and depths, and the commit of the code."""
    methods, depths = runs["method"].nunique(), sorted(int(depth) for depth in runs["depth"].unique())
    parts = [f"{len(runs)} runs", f"{methods} method{'s' if methods > 1 else ''}", depths_of(depths)]
    commits = [str(commit) for commit in runs["git_commit"].dropna().unique()] if "git_commit" in runs else []
    if commits:
        shown = [commit[:8] + "-dirty" * commit.endswith("-dirty") for commit in commits[:3]]
        more = f" and {len(commits) - 3} more" if len(commits) > 3 else ""
        parts.append(f"commit{'s' if len(commits) > 1 else ''} {', '.join(shown)}{more}")
    return ", ".join(parts)

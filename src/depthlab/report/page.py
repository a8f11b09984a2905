"""The HTML page of a report, which works offline: animation, table coloured by verdict, curves to zoom and hover."""

import base64
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from plotly.graph_objects import Figure, Scatter
from plotly.offline import get_plotlyjs

from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.registry import in_report
from depthlab.report.figures import layer_band, recorded
from depthlab.report.runs import Animation, Report, measured
from depthlab.report.table import protocol, reported, score, scores, verdicts
from depthlab.statistics import counted, n_of_m, over_runs
from depthlab.study.methods import COLORS, method_looks
from depthlab.tasks.metrics import METRICS

HERE = Path(__file__).parent
BACKGROUNDS = dict(
    zip(VERDICTS, ("#d9f0e5", "#f7d6bf", "#efd5e4", "#dcd6f0", "#fbe8c6", "#d6e9f8", "#d0d0d0", "#f2f2f2"), strict=True)
)
SHAPE = {"template": "plotly_white", "width": 1080, "height": 430, "margin": {"t": 50, "l": 70, "r": 20, "b": 50}}


def page(report: Report) -> str:
    """The HTML with all scripts, data and styles inside."""
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    animations = sorted(report.animations, key=lambda animation: animation.dataset)
    return environment.get_template("page.html").render(
        study=report.study,
        plotly=_trusted(get_plotlyjs()),
        animations=[_caption(animation) for animation in animations],
        animations_missing=n_of_m(len(animations), report.animations_asked),
        layers=max((len(animation.points) - 1 for animation in animations), default=0),
        animation_data=_trusted(json.dumps({"animations": [_points(one) for one in animations], "colors": COLORS})),
        animation_script=_trusted((HERE / "animation.js").read_text()),
        sections=[_section(report, str(name), runs) for name, runs in report.runs.groupby("dataset", sort=False)],
    )


def _trusted(text: str) -> Markup:
    """Text of the package that is not escaped; all other text is."""
    return Markup(text)  # noqa: S704


def _caption(animation: Animation) -> str:
    ended = ", diverged: the last finite states" if animation.diverged else ""
    return f"{animation.method}, {animation.dataset}, {animation.depth} layers{ended}"


def _points(animation: Animation) -> dict[str, Any]:
    """Points as bytes, 0 to 255 from edge to edge."""
    scaled = (animation.points / animation.extent + 1) / 2 * 255
    encoded = (base64.b64encode(a.astype(np.uint8).tobytes()).decode() for a in (np.round(scaled), animation.y))
    return {"layers": len(animation.points), **dict(zip(("points", "y"), encoded, strict=True))}


def _section(report: Report, dataset: str, runs: pd.DataFrame) -> dict[str, Any]:
    depths = [int(depth) for depth in sorted(runs["depth"].unique())]
    rows = [
        {"method": method, "cells": [_cell(group[group["depth"] == depth]) for depth in depths]}
        for method, group in runs.groupby("method", sort=False)
    ]
    charts = [_score_chart(report, runs, depths), _layer_chart(report, runs, depths)]
    bare = {"displayModeBar": False}
    html = [chart.to_html(full_html=False, include_plotlyjs=False, config=bare) for chart in charts]
    colors = {name: color for name, color in BACKGROUNDS.items() if (runs["verdict"] == name).any()}
    text = {"dataset": dataset, "protocol": protocol(runs), "colors": colors}
    return text | {"head": ["method", *depths], "rows": rows, "charts": html}


def _cell(runs: pd.DataFrame) -> dict[str, str]:
    known = runs.dropna(subset=["verdict"])
    common = known["verdict"].mode().iloc[0] if len(known) else ""
    evidence = known[known["verdict"] == common]["evidence"].tolist()
    return {
        "text": score(runs),
        "verdicts": counted(verdicts(runs)),
        "color": BACKGROUNDS.get(common, "white"),
        "evidence": str(evidence[0]) if evidence else "",
    }


def _score_chart(report: Report, runs: pd.DataFrame, depths: list[int]) -> Figure:
    """The test score with its interval; a menu switches to the measures of the last layer and to seconds."""
    looks, metric = method_looks(report.runs["method"]), METRICS[reported(runs)]
    columns = [(measure.name, measure.label, measure.scale) for measure in measured(runs)]
    views: list[View] = [View(f"test {metric.quantity}", f"test {metric.quantity}", "linear")]
    views += [View(label, label, scale) for _, label, scale in [*columns, ("seconds", "seconds", "linear")]]
    for method, group in runs.groupby("method", sort=False):
        style = {"line": _stroke(looks[str(method)])}
        own = [depth for depth in depths if (group["depth"] == depth).any()]
        points = [over_runs(scores(group, depth)) for depth in own]
        halves = [metric.factor * point.half if point.has_interval else 0 for point in points]
        means, missing = [metric.factor * point.mean for point in points], [point.missing for point in points]
        error = {"array": halves, "thickness": 1}
        views[0].curves.append(_curve(str(method), own, means, missing, style | {"error_y": error}))
        for view, name in zip(views[1:], [*(name for name, _, _ in columns), "seconds"], strict=True):
            column = group[name].where(np.isfinite(group[name])).groupby(group["depth"])
            missing = [n_of_m(*pair) for pair in zip(column.count(), column.size(), strict=True)]
            view.curves.append(_curve(str(method), own, column.median().tolist(), missing, style))
    figure = _chart("against depth (last layer)", views)
    figure.update_xaxes(type="log", tickvals=depths, ticktext=list(map(str, depths)), title="depth")
    return figure


def _layer_chart(report: Report, runs: pd.DataFrame, depths: list[int]) -> Figure:
    """Medians by layer; a menu chooses the measure and the depth."""
    looks = method_looks(report.runs["method"])
    views = []
    for measure in recorded(report) or in_report()[:1]:
        for depth in reversed(depths):
            views.append(View(f"{measure.label}, depth {depth}", measure.label, measure.scale))
            for method, group in runs[runs["depth"] == depth].groupby("method", sort=False):
                curve = layer_band(report, group, measure)
                medians = curve.quartiles[1].tolist() or [math.nan]
                missing = [n_of_m(int(n), len(group)) for n in curve.runs] or [n_of_m(0, len(group))]
                changes = [text if not k or text != missing[k - 1] else "" for k, text in enumerate(missing)]
                style = {"line": _stroke(looks[str(method)]), "marker_size": 4}
                views[-1].curves.append(_curve(str(method), list(range(len(missing))), medians, changes, style))
    figure = _chart("by layer (medians)", views)
    figure.update_xaxes(title="layer")
    return figure


@dataclass
class View:
    """One choice of a chart's menu: its label, the title and scale of the y axis, and the curves."""

    label: str
    title: str
    scale: str
    curves: list[Scatter] = field(default_factory=list)


def _chart(title: str, views: list[View]) -> Figure:
    """A chart of the first view with a menu of all views."""
    figure, owners, buttons = Figure(), [view for view in views for _ in view.curves], []
    for view in views:
        shown = {"visible": [owner is view for owner in owners]}
        axis = {"yaxis.title.text": view.title, "yaxis.type": view.scale}
        buttons.append({"label": view.label, "method": "update", "args": [shown, axis]})
        figure.add_traces([curve.update(visible=view is views[0]) for curve in view.curves])
    menu = {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.17, "yanchor": "top"}
    figure.update_layout(**SHAPE, updatemenus=[menu], title=title)
    figure.update_yaxes(title=views[0].title, type=views[0].scale, exponentformat="power")
    return figure


def _curve(method: str, x: list[int], y: list[float], missing: list[str], style: dict[str, Any]) -> Scatter:
    """A curve with `2 of 3` beside points with missing runs.

    Plotly draws nothing at a point without a value: its `0 of 3` is in the legend.
    """
    hidden = [f"{text} at {at}" for at, height, text in zip(x, y, missing, strict=True) if text and math.isnan(height)]
    method += f" ({', '.join(hidden)})" if hidden else ""
    mode = "lines+markers+text" if any(missing) else "lines+markers"
    return Scatter(x=x, y=y, name=method, mode=mode, text=missing, textposition="top right", **style)


def _stroke(look: tuple[str, str]) -> dict[str, str]:
    """Colour and dashes as Plotly names them."""
    color, dash = look
    return {"color": color, "dash": {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}[dash]}

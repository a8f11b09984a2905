"""The HTML page of a report, which works offline: animation, table coloured by verdict, curves to zoom and hover."""

import base64
import json
import math
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
        {"method": method, "cells": [_cell(group[group["depth"] == depth], depth) for depth in depths]}
        for method, group in runs.groupby("method", sort=False)
    ]
    charts = [_score_chart(report, runs, depths), _layer_chart(report, runs, depths)]
    bare = {"displayModeBar": False}
    html = [chart.to_html(full_html=False, include_plotlyjs=False, config=bare) for chart in charts]
    found = {name: color for name, color in BACKGROUNDS.items() if (runs["verdict"] == name).any()}
    text = {"dataset": dataset, "protocol": protocol(runs), "colors": found}
    return text | {"head": ["method", *depths], "rows": rows, "charts": html}


def _cell(runs: pd.DataFrame, depth: int) -> dict[str, str]:
    known = runs.dropna(subset=["verdict"])
    common = known["verdict"].mode().iloc[0] if len(known) else ""
    evidence = known[known["verdict"] == common]["evidence"].tolist()
    return {
        "text": score(runs, depth),
        "verdicts": counted(verdicts(runs)),
        "color": BACKGROUNDS.get(common, "white"),
        "evidence": str(evidence[0]) if evidence else "",
    }


def _score_chart(report: Report, runs: pd.DataFrame, depths: list[int]) -> Figure:
    """The test score with its interval; a menu switches to the measures of the last layer and to seconds."""
    figure, looks = Figure(), method_looks(report.runs["method"])
    metric = METRICS[reported(runs)]
    main = f"test {metric.quantity}"
    columns = [(main, None, "linear"), *((measure.label, measure.name, measure.scale) for measure in measured(runs))]
    columns.append(("seconds", "seconds", "linear"))
    for _, name, _ in columns:
        for method, group in runs.groupby("method", sort=False):
            own = [depth for depth in depths if (group["depth"] == depth).any()]
            if name is None:
                points = [over_runs(scores(group, depth)) for depth in own]
                y, missing = [metric.factor * point.mean for point in points], [point.missing for point in points]
                error = {"array": [metric.factor * s.half if s.has_interval else 0 for s in points], "thickness": 1}
            else:
                column = group[name].where(np.isfinite(group[name])).groupby(group["depth"])
                y, error = column.median().tolist(), None
                missing = [n_of_m(*pair) for pair in zip(column.count(), column.size(), strict=True)]
            style = {"line": _stroke(looks[str(method)]), "error_y": error, "visible": name is None}
            figure.add_trace(_curve(str(method), own, y, missing, style))
    methods = len(dict.fromkeys(runs["method"]))
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [
                {"visible": [k // methods == index for k in range(methods * len(columns))]},
                {"yaxis.title.text": label, "yaxis.type": scale},
            ],
        }
        for index, (label, _, scale) in enumerate(columns)
    ]
    figure.update_layout(**SHAPE, updatemenus=[_menu(buttons)], title="against depth (last layer)")
    figure.update_xaxes(type="log", tickvals=depths, ticktext=list(map(str, depths)), title="depth")
    figure.update_yaxes(title=main, exponentformat="power")
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


def _layer_chart(report: Report, runs: pd.DataFrame, depths: list[int]) -> Figure:
    """Medians by layer; a menu chooses the measure and the depth."""
    figure, looks = Figure(), method_looks(report.runs["method"])
    choices = [(measure, depth) for measure in recorded(report) or in_report()[:1] for depth in reversed(depths)]
    owners: list[int] = []
    for index, (measure, depth) in enumerate(choices):
        for method, group in runs[runs["depth"] == depth].groupby("method", sort=False):
            found = layer_band(report, group, measure)
            owners.append(index)
            medians = found.quartiles[1].tolist() or [math.nan]
            missing = [n_of_m(int(n), len(group)) for n in found.runs] or [n_of_m(0, len(group))]
            changes = [text if not k or text != missing[k - 1] else "" for k, text in enumerate(missing)]
            style = {"line": _stroke(looks[str(method)]), "visible": index == 0, "marker_size": 4}
            layers = list(range(len(missing)))
            figure.add_trace(_curve(str(method), layers, medians, changes, style))
    buttons = [
        {
            "label": f"{measure.label}, depth {depth}",
            "method": "update",
            "args": [
                {"visible": [owner == index for owner in owners]},
                {"yaxis.title.text": measure.label, "yaxis.type": measure.scale},
            ],
        }
        for index, (measure, depth) in enumerate(choices)
    ]
    figure.update_layout(**SHAPE, updatemenus=[_menu(buttons)], title="by layer (medians)")
    figure.update_xaxes(title="layer")
    figure.update_yaxes(title=choices[0][0].label, type=choices[0][0].scale, exponentformat="power")
    return figure


def _menu(buttons: list[dict[str, Any]]) -> dict[str, Any]:
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.17, "yanchor": "top"}

"""Figures of the measures by layer of a run, as a picture and as a page that works offline."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from depthlab.measures.axis import ValueAxis
from depthlab.measures.registry import Measure, in_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOR = "#0072B2"
PANELS = 6  # maximum number per row


def layers_figure(curves: dict[str, list[float]], title: str) -> "Figure":
    """A panel over the layers for each measure that figures show."""
    from matplotlib.figure import Figure

    return draw_layers(Figure(), panels(curves), curves, title)


def draw_layers(
    figure: "Figure", measures: Sequence[Measure], curves: Mapping[str, Sequence[float]], title: str
) -> "Figure":
    """Draw a panel over the layers for each measure; on a logarithmic axis zeros lie on a floor."""
    rows = math.ceil(len(measures) / PANELS)
    columns = math.ceil(len(measures) / rows)
    figure.set_size_inches(4.2 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(measures) :]:
        axes.remove()
    for axes, measure in zip(panels, measures, strict=False):
        curve = curves[measure.name]
        axis = ValueAxis(measure.scale, [curve])
        axes.plot(range(len(curve)), axis.place(curve), color=COLOR, marker=".", markersize=4, linewidth=1.4)
        axis.finish(axes)
        axes.set_title(measure.label, size="medium")
        axes.set_xlabel("layer")
        axes.grid(alpha=0.25)
    figure.suptitle(title, wrap=True, y=1 - 0.02 / rows)
    # Matplotlib's own layouts draw everything at least twice, which takes half a second for each run of a study.
    sides = {"left": 0.18 / columns, "right": 1 - 0.04 / columns, "bottom": 0.15 / rows, "top": 1 - 0.17 / rows}
    figure.subplots_adjust(**sides, wspace=0.3, hspace=0.45)
    return figure


def layers_html(curves: dict[str, list[float]], title: str) -> str:
    """The same panels as an interactive page, with Plotly's script inside the file."""
    from plotly.subplots import make_subplots

    measures = panels(curves)
    figure = make_subplots(rows=1, cols=len(measures), subplot_titles=[measure.label for measure in measures])
    for column, measure in enumerate(measures, start=1):
        axis = ValueAxis(measure.scale, [curves[measure.name]])
        style = {"mode": "lines+markers", "line_color": COLOR, "name": measure.label}
        drawn = axis.place(curves[measure.name])
        figure.add_scatter(
            y=drawn, customdata=curves[measure.name], hovertemplate="%{customdata:.4g}", row=1, col=column, **style
        )
        figure.update_xaxes(title="layer", row=1, col=column)
        kind = "log" if axis.is_log else "linear"
        figure.update_yaxes(type=kind, exponentformat="power", row=1, col=column)
        if axis.floor is not None:
            figure.add_hline(y=axis.floor, line_dash="dot", line_color="grey", annotation_text="0", row=1, col=column)
    figure.update_layout(title=title, showlegend=False, template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True))


def panels(curves: dict[str, list[float]]) -> list[Measure]:
    """The measures by layer that the run has and figures show."""
    return [measure for measure in in_report() if curves.get(measure.name)]

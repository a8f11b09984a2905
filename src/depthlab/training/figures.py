"""The energy of a run by layer, as a picture and as a page that works offline."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {  # curve -> title, logarithmic or not
    "dirichlet_energy": ("Dirichlet energy", True),
    "effective_rank": ("effective rank", False),
    "gradient_norm": ("gradient norm", True),
}
COLOR = "#0072B2"


def layers_figure(curves: dict[str, list[float]], title: str) -> "Figure":
    """One panel a measure, layer along the x axis; zeros cannot stand on a logarithmic axis and are left out."""
    from matplotlib.figure import Figure

    names = panels(curves)
    figure = Figure(figsize=(4.2 * len(names), 3.4))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        label, logarithmic = PANELS[name]
        axes.plot(range(len(curves[name])), curves[name], color=COLOR, marker=".", markersize=4, linewidth=1.4)
        if logarithmic and any(value > 0 for value in curves[name]):
            axes.set_yscale("log")
        axes.set_title(label, size="medium")
        axes.set_xlabel("layer")
        axes.grid(alpha=0.25)
    figure.suptitle(title, wrap=True)
    # Matplotlib's own layouts draw everything twice and more, half a second for each run of a study.
    figure.subplots_adjust(left=0.18 / len(names), right=1 - 0.04 / len(names), bottom=0.15, top=0.83, wspace=0.3)
    return figure


def layers_html(curves: dict[str, list[float]], title: str) -> str:
    """The same panels to zoom and hover, with Plotly's script inside the file."""
    from plotly.subplots import make_subplots

    names = panels(curves)
    figure = make_subplots(rows=1, cols=len(names), subplot_titles=[PANELS[name][0] for name in names])
    for column, name in enumerate(names, start=1):
        figure.add_scatter(y=curves[name], mode="lines+markers", line_color=COLOR, name=name, row=1, col=column)
        figure.update_xaxes(title="layer", row=1, col=column)
        if PANELS[name][1]:
            figure.update_yaxes(type="log", exponentformat="power", row=1, col=column)
    figure.update_layout(title=title, showlegend=False, template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True))


def panels(curves: dict[str, list[float]]) -> list[str]:
    """The measures of a run that there is a panel for."""
    return [name for name in PANELS if curves.get(name)]

"""Figures that a notebook displays."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from depthlab.measures.registry import MEASURES
from depthlab.training.figures import draw_layers


class NotebookFigure(Figure):
    """A figure that Jupyter displays without pyplot, because pyplot keeps all figures in memory."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()


def layers(curves: Mapping[str, Sequence[float]], title: str) -> Figure:
    """One panel for each measure by layer that has values."""
    shown = [measure for measure in MEASURES.values() if measure.axis == "layer" and curves.get(measure.name)]
    return draw_layers(NotebookFigure(), shown, curves, title)

"""Tables and figures of measures by layer."""

import math

from depthlab.api.figure import layers
from depthlab.api.tables import by_layer
from depthlab.measures.registry import MEASURES

CURVES = {"dirichlet_energy": [3.0, 2.0, 0.0], "effective_rank": [2.0, 1.0], "sensitivity": [1.0], "max_abs": []}


def test_only_measures_by_layer_are_shown() -> None:
    frame = by_layer(CURVES)
    assert list(frame.columns) == ["dirichlet_energy", "effective_rank"] and frame.index.name == "layer"
    assert frame["dirichlet_energy"].tolist() == [3.0, 2.0, 0.0]
    assert math.isnan(frame["effective_rank"][2])
    assert by_layer({}).empty
    assert [axes.get_title() for axes in layers(CURVES, "mine").axes] == ["Dirichlet energy", "effective rank"]


def test_many_panels_have_several_rows() -> None:
    names = [measure.name for measure in MEASURES.values() if measure.axis == "layer"]
    figure = layers({name: [2.0, 1.0] for name in names}, "all")
    assert len(figure.axes) == len(names) > 5
    assert figure.get_figwidth() < 4.2 * len(names) and len({axes.get_position().y0 for axes in figure.axes}) > 1

"""The picture and the page of a run."""

import io

import numpy as np

from depthlab.training.figures import layers_figure, layers_html

CURVES = {"dirichlet_energy": [1.0, 0.1, 0.0], "effective_rank": [5.0, 3.0, 1.0], "gradient_norm": []}


def test_figure_has_a_panel_for_each_curve_and_a_logarithmic_energy() -> None:
    figure = layers_figure(CURVES, "a run")
    scales = {axes.get_title(): axes.get_yscale() for axes in figure.axes}
    assert scales == {"Dirichlet energy": "log", "effective rank": "log"}
    assert np.asarray(figure.axes[0].lines[0].get_ydata()).tolist() == [1, 0.1, 0.01]  # 0 lies on a floor
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")


def test_page_needs_no_network() -> None:
    page = layers_html(CURVES, "a run")
    assert "Dirichlet energy" in page
    assert 'src="http' not in page
    assert len(page) > 1_000_000  # Plotly's script is inside

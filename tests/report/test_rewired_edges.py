"""The picture of a rewired graph: every edge once, coloured by its curvature, what changed marked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from torch import Tensor
from torch_geometric.utils import to_undirected

from depthlab.measures.curvature import balanced_forman
from depthlab.report.rewired_edges import arcs, edges_of, layout, rewiring_figure
from tests.conftest import Command

PATH = [(0, 1), (1, 2), (2, 3), (3, 4)]


def both(*pairs: tuple[int, int]) -> Tensor:
    return to_undirected(torch.tensor(pairs).T)


def test_every_edge_once_with_its_curvature() -> None:
    edges = both((0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5))
    ends, curvature = edges_of(edges.flip(1), 6)
    assert sorted(map(tuple, ends.tolist())) == [(0, 1), (0, 3), (1, 2), (2, 3), (3, 4), (4, 5)]
    known = dict(zip(map(tuple, edges.T.tolist()), balanced_forman(edges, 6).tolist(), strict=True))
    assert curvature.tolist() == [known[tuple(pair)] for pair in ends.tolist()]


def test_what_was_added_and_removed_is_marked_and_counted() -> None:
    before, after = both(*PATH), both((0, 1), (1, 2), (2, 3), (0, 3), (1, 5))  # node 5 is new
    figure = rewiring_figure(before, after, 5, ("path", "rewired"))
    left, right, _ = figure.axes
    (drawn,) = [item for item in left.collections if isinstance(item, LineCollection)]
    assert len(drawn.get_segments()) == 4
    kept, removed, added = [item for item in right.collections if isinstance(item, LineCollection)]
    assert [len(item.get_segments()) for item in (kept, removed, added)] == [3, 1, 2]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["added (2)", "removed (1)"]
    curvature = balanced_forman(before, 5)
    np.testing.assert_allclose(np.sort(np.asarray(drawn.get_array())), np.sort(curvature[before[0] < before[1]]))
    least, mean = float(curvature.min()), float(curvature.mean())
    assert left.get_title() == f"path\ncurvature: least {least:.2f}, mean {mean:.2f}"


def test_an_arc_ends_where_its_edge_does_and_leaves_the_line_between() -> None:
    (arc,) = arcs(np.array([[[0.0, 0.0], [2.0, 0.0]]]))
    assert arc[0].tolist() == [0, 0] and arc[-1].tolist() == [2, 0]
    assert arc[1:-1, 1].min() > 0 and arc[:, 1].max() == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("edges", [PATH, [(0, 1), (2, 3)]])
def test_nodes_stand_apart(edges: list[tuple[int, int]]) -> None:
    places = layout(both(*edges), 5)
    assert places.shape == (5, 2) and np.isfinite(places).all()
    assert min(np.linalg.norm(places[a] - places[b]) for a in range(5) for b in range(a)) > 1e-3


def test_the_command_writes_a_picture(command: Command, results: Path) -> None:
    typed = ["dataset=clique_path_transfer", "dataset.size=8", "rewiring=sdrf", "rewiring.num_steps=2"]
    done = command("rewired_edges", *typed)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("results/rewired_edges/clique_path_transfer-sdrf.png\n")
    assert (results / "rewired_edges" / "clique_path_transfer-sdrf.png").read_bytes().startswith(b"\x89PNG")

"""Draws a small graph: the curvature of its edges, and the edges that a rewiring adds and removes.

depthlab rewired_edges dataset=clique_path_transfer dataset.size=16 rewiring=sdrf rewiring.num_steps=4

Takes the settings of `depthlab train`; writes results/rewired_edges/DATASET-REWIRING.png.
"""

from typing import Any

import matplotlib as mpl
import networkx as nx
import numpy as np
from hydra.core.hydra_config import HydraConfig
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor
from torch_geometric.utils import to_undirected

from depthlab.cli import main
from depthlab.config.errors import UserError
from depthlab.config.validation import validate
from depthlab.data.prepare import load
from depthlab.data.rewire import cached_edges
from depthlab.files import atomic_write, lock_of
from depthlab.folders import relative, results
from depthlab.measures.curvature import balanced_forman
from depthlab.report.drawing import style
from depthlab.text import file_name, for_figure

LARGEST = 500  # nodes that can be distinguished in a picture
COLOR_MAP, LIMIT = "coolwarm_r", 2.0  # red is negative; curvature is above -2
ADDED, REMOVED = "#009E73", "#999999"
BEND = 0.15  # height of an arc as a share of its length


def edges_of(edge_index: Tensor, num_nodes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ends of every undirected edge, (m, 2), the smaller number first, and its Balanced Forman curvature, (m,)."""
    curvature = balanced_forman(edge_index, num_nodes)
    once = edge_index[0] < edge_index[1]
    return edge_index[:, once].T.numpy(), curvature[once].numpy()


def layout(edge_index: Tensor, num_nodes: int) -> np.ndarray[Any, Any]:
    """Coordinates of the nodes, (n, 2): lengths follow distances, components are drawn apart."""
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.T.tolist())
    points = nx.kamada_kawai_layout(graph) if nx.is_connected(graph) else nx.spring_layout(graph, seed=0)
    return np.array([points[node] for node in range(num_nodes)])


def rewiring_figure(before: Tensor, after: Tensor, num_nodes: int, titles: tuple[str, str]) -> Figure:
    """The graph (left) and the rewired graph (right) in the same layout, coloured by curvature.

    Args:
        before: edges of the graph, (2, m), both directions.
        after: edges of the rewired graph, (2, m'), both directions; new nodes are drawn in the middle.
        num_nodes: number of nodes of the graph.
        titles: titles of the two panels.
    """
    highest = int(after.max()) + 1 if after.numel() else 0
    nodes = max(num_nodes, highest)
    points = layout(before, num_nodes)
    points = np.concatenate([points, np.zeros((nodes - num_nodes, 2))])
    figure = Figure(figsize=(13, 5.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    (old, old_curvature), (new, new_curvature) = edges_of(before, num_nodes), edges_of(after, nodes)
    old_keys, new_keys = (ends @ [nodes, 1] for ends in (old, new))
    present, remains = np.isin(new_keys, old_keys), np.isin(old_keys, new_keys)
    drawn = _draw(left, points[:num_nodes], old, old_curvature)
    _draw(right, points, new[present], new_curvature[present])
    right.add_collection(LineCollection(points[old[~remains]], colors=REMOVED, linestyles=":", linewidths=1.2))
    right.add_collection(LineCollection(list(arcs(points[new[~present]])), colors=ADDED, linewidths=2.4))
    for axes, title, curvature in ((left, titles[0], old_curvature), (right, titles[1], new_curvature)):
        least, mean = (f(curvature) if len(curvature) else np.nan for f in (np.min, np.mean))
        axes.set_title(f"{title}\ncurvature: least {least:.2f}, mean {mean:.2f}")
    names = [f"added ({int((~present).sum())})", f"removed ({int((~remains).sum())})"]
    right.plot([], [], color=ADDED, lw=2.4, label=names[0])
    right.plot([], [], ":", color=REMOVED, lw=1.2, label=names[1])
    figure.legend(loc="outside lower center", ncols=2)
    figure.colorbar(drawn, ax=[left, right], label="Balanced Forman curvature", shrink=0.8)
    return figure


def arcs(ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bent lines between pairs of points (m, 2, 2), as (m, k, 2): an added edge may run along a straight path."""
    start, end = ends[:, 0, None], ends[:, 1, None]
    along = end - start
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    t = np.linspace(0, 1, 20)[:, None]
    return start + t * along + BEND * 4 * t * (1 - t) * across


def _draw(axes: Axes, points: Any, ends: Any, curvature: Any) -> LineCollection:
    lines = LineCollection(points[ends], array=curvature, cmap=COLOR_MAP, clim=(-LIMIT, LIMIT), linewidths=1.8)
    axes.add_collection(lines)
    axes.plot(*points.T, "o", color="black", ms=4 if len(points) > 60 else 7, zorder=3)
    axes.set_axis_off()
    axes.set_aspect("equal")
    return lines


def _task(config: DictConfig) -> None:
    settings = validate(config, dict(HydraConfig.get().runtime.choices))
    name = settings.rewiring.name
    if name == "none":
        raise UserError("rewiring=none changes no edge: choose another, such as rewiring=sdrf")
    dataset, data_hash = load(settings.dataset)
    if dataset.num_nodes > LARGEST:
        raise UserError(
            f"{settings.dataset.label} has {dataset.num_nodes} nodes: a picture can show {LARGEST}, "
            "choose a smaller graph such as dataset=texas"
        )
    before = to_undirected(dataset.edge_index, num_nodes=dataset.num_nodes)
    after = cached_edges(dataset, data_hash, settings).edge_index
    path = results() / "rewired_edges" / f"{file_name(settings.dataset.label)}-{name}.png"
    titles = for_figure(settings.dataset.label), name
    with mpl.rc_context(style(None)), lock_of(path), atomic_write(path) as part:
        rewiring_figure(before, after, dataset.num_nodes, titles).savefig(part, dpi=130, format="png")
    print(relative(path))


def command() -> None:
    """Compose the config and run; ends the process."""
    main(_task)

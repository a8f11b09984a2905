"""Bottleneck statistics of a graph, which `prepare` writes with the other statistics."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from depthlab.measures.curvature import balanced_forman
from depthlab.measures.laplacian import Blocks, ConvergenceError
from depthlab.measures.resistance import mean_resistance
from depthlab.measures.spectrum import largest_component_gap

PATHS = 20_000_000  # most paths of two edges for curvatures
EDGES = 500_000  # most edges for the other statistics
Values = dict[str, float | str | None]


def bottleneck_statistics(edge_index: Tensor, num_nodes: int) -> dict[str, Values]:
    """Curvature, spectral gap and mean resistance; for graphs on which one takes long, `skipped` says why.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no self-loops, no repetitions.
        num_nodes: n.

    Returns:
        `balanced_forman` with mean and min over edges; `spectral_gap` of the whole graph and its largest component;
        `resistance` with the mean over edges, the mean over pairs of the largest component, its standard error, and
        the method. NaN becomes None.
    """
    paths = int(torch.bincount(edge_index[0]).square().sum()) // 2
    edges = edge_index.shape[1] // 2
    large = f"{edges:,} edges, more than {EDGES:,}" if edges > EDGES else ""
    many = f"{paths:,} paths of two edges, more than {PATHS:,}" if paths > PATHS else ""
    return {
        "balanced_forman": _unless(many, lambda: _curvature(edge_index, num_nodes)),
        "spectral_gap": _unless(large, lambda: _gaps(edge_index, num_nodes)),
        "resistance": _unless(large, lambda: _resistance(edge_index, num_nodes)),
    }


def _unless(reason: str, measure: Callable[[], Values]) -> Values:
    if reason:
        return {"skipped": reason}
    try:
        values = measure()
    except ConvergenceError as error:
        return {"skipped": str(error)}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def _curvature(edge_index: Tensor, num_nodes: int) -> Values:
    values = balanced_forman(edge_index, num_nodes)
    return {"mean": float(values.mean()), "min": float(values.min()) if len(values) else math.nan}


def _gaps(edge_index: Tensor, num_nodes: int) -> Values:
    largest = largest_component_gap(edge_index, num_nodes)
    return {"whole": largest if len(Blocks(edge_index, num_nodes)) == 1 else 0.0, "largest_component": largest}


def _resistance(edge_index: Tensor, num_nodes: int) -> Values:
    mean = mean_resistance(edge_index, num_nodes)
    return {"edges": mean.edges, "pairs": mean.pairs, "standard_error": mean.deviation, "how": mean.how}

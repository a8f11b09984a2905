"""Measures taken while a forward pass streams by, one layer at a time."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from depthlab.measures import MEASURES
from depthlab.measures.edges import check_undirected
from depthlab.ops import SparseFeatures

Observer = Callable[[int, Tensor | SparseFeatures], None]


def layer_measures(
    forward: Callable[[Observer], object], edge_index: Tensor, names: Iterable[str], num_nodes: int | None = None
) -> dict[str, list[float]]:
    """Run one pass and take every named measure of the state after each layer; no state is kept.

    Of a rewired graph the edges and nodes are those from before: measures of two rewirings can be compared.

    Args:
        forward: runs the pass and shows it the observer.
        edge_index: (2, m), both directions of every undirected edge once, no self-loops.
        names: keys of `MEASURES`.
        num_nodes: how many nodes are measured, the first ones; None for all.

    Returns:
        For each name the values by layer, from 0 (the state that enters the first layer) to depth.

    Raises:
        ValueError: the edges are others.
    """
    curves: dict[str, list[float]] = {name: [] for name in names}

    def observe(layer: int, state: Tensor | SparseFeatures) -> None:
        dense = state.to_dense() if isinstance(state, SparseFeatures) else state
        dense = dense[:num_nodes]
        if layer == 0:  # once: the edges are those of every layer
            check_undirected(edge_index, len(dense))
        for name, curve in curves.items():
            curve.append(MEASURES[name](dense, edge_index))

    with torch.no_grad():
        forward(observe)
    return curves


def gradient_norms(loss: Callable[[Observer], Tensor], num_nodes: int | None = None) -> list[float]:
    r"""Frobenius norm of :math:`\partial \mathcal{L} / \partial H^{(l)}` for every layer, l = 0..depth.

    Each is measured as the backward pass streams by; no state is kept for it.

    Args:
        loss: runs the pass under an observer and returns the scalar loss; the states have to be part of its graph.
        num_nodes: how many nodes are measured, the first ones; None for all.

    Returns:
        Norms by layer; 0 where the loss does not depend on a state.
    """
    norms: list[float] = []
    ends: list[Tensor] = []  # where gradients end: the first state, and any other that comes of nothing before it

    def observe(layer: int, state: Tensor | SparseFeatures) -> None:
        if isinstance(state, SparseFeatures):
            raise TypeError("gradients need dense features")
        norms.append(0.0)
        if not ends or state.is_leaf:
            ends.append(state)
        state.register_hook(partial(measure, len(norms) - 1))

    def measure(layer: int, grad: Tensor) -> None:
        norms[layer] = float(grad[:num_nodes].norm())

    with torch.enable_grad():
        value = loss(observe)
        torch.autograd.grad(value, ends, allow_unused=True)
    return norms

"""Measures by layer, computed during a forward or backward pass."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from depthlab.measures.edges import check_undirected
from depthlab.measures.registry import MEASURES
from depthlab.ops import SparseFeatures

Watch = Callable[[int, Tensor], None]  # called with (l, state l)


@torch.no_grad()
def layer_measures(
    states: Iterable[Tensor | SparseFeatures], edge_index: Tensor, names: Iterable[str], num_nodes: int | None = None
) -> dict[str, list[float]]:
    """Compute every named measure of each state, without storing the states.

    For a rewired graph pass its original edges and nodes, so that measures of different rewirings are comparable.

    Args:
        states: iterator over the states, starting with the input of the first layer.
        edge_index: (2, m), both directions of every undirected edge once, no self-loops.
        names: keys of `MEASURES`.
        num_nodes: measure only the first `num_nodes` nodes; None for all.

    Returns:
        Name -> values by layer, from 0 (the input of the first layer) to depth.

    Raises:
        ValueError: `edge_index` is not of this form.
    """
    functions = {name: MEASURES[name].load() for name in names}
    curves: dict[str, list[float]] = {name: [] for name in functions}
    for layer, state in enumerate(states):
        dense = state.to_dense() if isinstance(state, SparseFeatures) else state
        dense = dense[:num_nodes]
        if layer == 0:  # all layers have the same edges
            check_undirected(edge_index, len(dense))
        for name, curve in curves.items():
            curve.append(functions[name](dense, edge_index))
    return curves


def gradient_norms(loss: Callable[[Watch], Tensor], num_nodes: int | None = None) -> list[float]:
    r"""Frobenius norm of :math:`\partial \mathcal{L} / \partial H^{(l)}` for every layer, l = 0..depth.

    The norms are computed by hooks during the backward pass; no state is stored.

    Args:
        loss: runs the forward pass, calls its argument with every state and returns the scalar loss; the states have
            to be part of its autograd graph.
        num_nodes: measure only the first `num_nodes` nodes; None for all.

    Returns:
        Norms by layer; 0 if the loss does not depend on the state.
    """
    norms: list[float] = []
    ends: list[Tensor] = []  # the first state, and states that do not depend on earlier ones

    def watch(layer: int, state: Tensor) -> None:
        norms.append(0.0)
        if not ends or state.is_leaf:
            ends.append(state)
        state.register_hook(partial(measure, len(norms) - 1))

    def measure(layer: int, grad: Tensor) -> None:
        norms[layer] = float(grad[:num_nodes].norm())

    with torch.enable_grad():
        value = loss(watch)
        torch.autograd.grad(value, ends, allow_unused=True)
    return norms

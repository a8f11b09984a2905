"""The size of states."""

from torch import Tensor


def max_abs(x: Tensor, edge_index: Tensor | None = None) -> float:
    r""":math:`\max_{i,c} |x_{ic}|` of states of shape (n, f); 0 if there are none. `edge_index` is not used."""
    return float(x.abs().amax()) if x.numel() else 0.0

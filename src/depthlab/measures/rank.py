"""Ranks of node states. `edge_index` is not used; every measure of states takes it."""

import torch
from torch import Tensor


def effective_rank(x: Tensor, edge_index: Tensor | None = None) -> float:
    r"""Effective rank (Roy & Vetterli 2007): :math:`\exp(-\sum_k p_k \log p_k)` with :math:`p_k = s_k / \sum_j s_j`.

    Args:
        x: states (n, f) with singular values s.

    Returns:
        Between 1 and min(n, f); NaN for X = 0, whose p is 0 / 0, and where X is not finite.
    """
    s = _singular_values(x)
    if s is None:
        return float("nan")
    p = s / s.sum()
    return float(torch.exp(-torch.xlogy(p, p).sum()))


def stable_rank(x: Tensor, edge_index: Tensor | None = None) -> float:
    r"""Stable rank :math:`\lVert X \rVert_F^2 / \lVert X \rVert_2^2` (see arXiv 2502.04591); NaN as above."""
    s = _singular_values(x)
    if s is None:
        return float("nan")
    return float(s.square().sum() / s.max().square())


def _singular_values(x: Tensor) -> Tensor | None:
    """Singular values up to a common factor, in float64, by the smaller Gram matrix: exact to 1e-8 of the largest.

    None where no rank is defined.
    """
    largest = x.abs().max() if x.numel() else x.new_zeros(())  # NaN and infinity are the largest
    if not largest.isfinite() or largest == 0:
        return None
    scaled = x.double() / largest  # a collapsed state of 1e-200 must not underflow when squared
    gram = scaled.T @ scaled if x.shape[0] >= x.shape[1] else scaled @ scaled.T
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()

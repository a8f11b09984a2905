"""Node states in the plane, layer after layer, so that one sees classes melt or hold."""

import torch
from torch import Tensor


def plane(x: Tensor) -> Tensor:
    r"""The two leading principal components of the states, in units of their root mean square norm.

    :math:`(X - \bar X) V_2 / \sqrt{\lVert X \rVert_F^2 / n}`, V_2 the leading eigenvectors of the covariance
    (Pearson 1901). The unit is that of X itself, not of the deviations from its mean: states that become alike run
    together in one point, whatever their norm does.

    Args:
        x: states (n, f).

    Returns:
        (n, 2) in float64; zeros for X = 0 or a state that is not finite.
    """
    x = x.double()
    points = x.new_zeros(x.shape[0], 2)
    largest = x.abs().max()
    if largest == 0 or not x.isfinite().all():
        return points
    x = x / largest  # a collapsed state must not underflow when squared
    norm = x.square().sum(1).mean().sqrt()
    centred = (x - x.mean(0)) / norm
    _, directions = torch.linalg.eigh(centred.T @ centred)
    leading = directions[:, -2:].flip(1)
    points[:, : leading.shape[1]] = centred @ leading
    return points


def aligned(points: Tensor, previous: Tensor) -> Tensor:
    """The points turned or mirrored to lie closest to the previous ones: axes and signs of components are arbitrary.

    The orthogonal Procrustes solution (Schoenemann 1966).
    """
    u, _, v = torch.linalg.svd(points.T @ previous)
    return points @ (u @ v)

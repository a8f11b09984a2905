"""Project node states to the plane, to see whether classes stay apart."""

import torch
from torch import Tensor


def plane(x: Tensor) -> Tensor:
    r"""The two leading principal components of the directions of the states (Pearson 1901).

    :math:`(U - \bar U) V_2` with :math:`u_i = x_i / \lVert x_i \rVert` and V_2 the leading eigenvectors of the
    covariance. Repeated propagation drives states to multiples sqrt(1 + d_i) of one vector: lengths then depend on the
    degree and not on the class, so only directions are shown. Those of a collapsed network are one point.

    Args:
        x: states (n, f).

    Returns:
        (n, 2) in float64, within [-2, 2]; a state of zero has the direction zero, all zeros where X is not finite.
    """
    x = x.double()
    points = x.new_zeros(x.shape[0], 2)
    if not x.isfinite().all():
        return points
    largest = x.abs().amax(1, keepdim=True)
    x = x / torch.where(largest == 0, 1.0, largest)  # a collapsed state must not underflow when squared
    norm = x.norm(dim=1, keepdim=True)
    centred = x / torch.where(norm == 0, 1.0, norm)
    centred = centred - centred.mean(0)
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

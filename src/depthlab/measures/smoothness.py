"""How much the states of neighbours differ.

Every function takes states `x` of shape (n, f) and `edge_index` of shape (2, m) with both directions of every
undirected edge once and no self-loops, computes in float64 with memory bounded in m, and returns a Python float. It
raises ValueError if `edge_index` is not of this form.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from depthlab.measures.edges import check_undirected

CHUNK = 1 << 22  # numbers held at once: 32 MB in float64
FLOOR = 1e-40  # replaces an energy of zero on a logarithmic scale
ROUNDING = 1e-30  # a distance of unit vectors that is no more than their rounding


def dirichlet_energy(x: Tensor, edge_index: Tensor) -> float:
    r"""Dirichlet energy per node (Rusch, Bronstein & Mishra 2023, https://arxiv.org/abs/2303.10993).

    .. math:: E(X) = \frac1n \sum_i \sum_{j \in N(i)} \lVert x_i - x_j \rVert^2

    Each undirected edge counts twice. Zero iff X is constant on each connected component.
    """
    check_undirected(edge_index, x.shape[0])
    return 2 * _squared_differences(x.double(), edge_index) / x.shape[0]


def log10_dirichlet_energy(x: Tensor, edge_index: Tensor) -> float:
    r""":math:`\log_{10} \max(E(X), 10^{-40})`, for charts with a linear axis such as MLflow's.

    -40 represents zero; it is below the log10 of the smallest normal float32, 1.2e-38.
    """
    return math.log10(max(dirichlet_energy(x, edge_index), FLOOR))  # NaN has to be the first argument to stay NaN


def dirichlet_energy_normalized(x: Tensor, edge_index: Tensor) -> float:
    r"""Energy of the normalised Laplacian with self-loops (Cai & Wang 2020, https://arxiv.org/abs/2006.13318).

    .. math:: \mathrm{tr}(X^T \tilde L X)
        = \frac12 \sum_{(i,j)} \lVert x_i / \sqrt{1 + d_i} - x_j / \sqrt{1 + d_j} \rVert^2

    summed over both directions. The kernel is sqrt(1+d): a constant X does not score zero.
    """
    check_undirected(edge_index, x.shape[0])
    degree = torch.bincount(edge_index[0], minlength=x.shape[0]).double()
    scaled = x.double() / (1 + degree).sqrt().unsqueeze(1)
    return _squared_differences(scaled, edge_index)


def rayleigh_quotient(x: Tensor, edge_index: Tensor) -> float:
    """`dirichlet_energy_normalized / ||X||_F^2` in [0, 2): scale-free, tells shrinking from smoothing; NaN if X = 0."""
    norm = float(x.double().square().sum())
    energy = dirichlet_energy_normalized(x, edge_index)
    return energy / norm if norm else float("nan")


def mean_average_distance(x: Tensor, edge_index: Tensor) -> float:
    r"""MAD (Chen et al. 2020, https://arxiv.org/abs/1909.03211), in [0, 2].

    .. math:: \bar D_i = \frac{1}{d_i} \sum_{j \in N(i)} (1 - \cos(x_i, x_j)), \qquad
        \mathrm{MAD} = \frac{\sum_i \bar D_i}{\# \{ i : \bar D_i \ne 0 \}}

    A state of zero has no direction, so such nodes are left out. 0 if all neighbours have the same direction; NaN if no
    two neighbours have a direction. Blind to a collapse onto one direction with equal signs. The authors' code also
    leaves distances of exactly 0 out of a node's mean; here they count, or a node that agrees with nine of its ten
    neighbours would be as far from them as from the tenth alone.
    """
    check_undirected(edge_index, x.shape[0])
    norm = x.double().norm(dim=1, keepdim=True)
    unit = x.double() / torch.where(norm == 0, 1.0, norm)
    alive = (norm.squeeze(1) != 0)[edge_index].all(0)  # NaN stays: a diverged state must not look healthy
    edges = edge_index[:, alive]
    if edges.shape[1] == 0:
        return float("nan")
    total = unit.new_zeros(x.shape[0])
    for i, j in _chunks(edges, x.shape[1]):
        # 1 - cos = |a - b|^2 / 2 for unit vectors, without the cancellation that 1 - a.b suffers near zero
        total.index_add_(0, i, (unit[i] - unit[j]).square().sum(1) / 2)
    mean = total / torch.bincount(edges[0], minlength=x.shape[0])  # NaN of a node without neighbours
    by_node = mean[edges[0].unique()]
    positive = by_node[~(by_node <= ROUNDING)]
    return float(positive.mean()) if len(positive) else 0.0


def _squared_differences(x: Tensor, edge_index: Tensor) -> float:
    """The sum of |x_i - x_j|^2 over undirected edges, each counted once."""
    once, total = edge_index[:, edge_index[0] < edge_index[1]], 0.0
    for i, j in _chunks(once, x.shape[1]):
        difference = x.index_select(0, i).sub_(x.index_select(0, j)).view(-1)
        total += float(torch.dot(difference, difference))
    return total


def _chunks(edge_index: Tensor, channels: int) -> Iterator[Tensor]:
    yield from edge_index.split(max(1, CHUNK // max(1, channels)), dim=1)

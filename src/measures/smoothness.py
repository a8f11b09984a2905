"""How much the states of neighbours differ.

Every function takes states `x` of shape (n, f) and `edge_index` of shape (2, m) with both directions of every
undirected edge and no self-loops, computes in float64 with memory bounded in m, and returns a Python float. A graph
without edges scores 0.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CHUNK = 1 << 22  # numbers held at once: 32 MB in float64


def dirichlet_energy(x: Tensor, edge_index: Tensor) -> float:
    r"""Dirichlet energy per node (Rusch, Bronstein & Mishra 2023, https://arxiv.org/abs/2303.10993).

    .. math:: E(X) = \frac1n \sum_i \sum_{j \in N(i)} \lVert x_i - x_j \rVert^2

    Each undirected edge counts twice. Zero iff X is constant on each connected component.
    """
    return _sum_over_edges(x.double(), edge_index, lambda a, b: (a - b).square().sum()) / x.shape[0]


def dirichlet_energy_normalized(x: Tensor, edge_index: Tensor) -> float:
    r"""Energy of the normalised Laplacian with self-loops (Cai & Wang 2020, https://arxiv.org/abs/2006.13318).

    .. math:: \mathrm{tr}(X^T \tilde L X)
        = \frac12 \sum_{(i,j)} \lVert x_i / \sqrt{1 + d_i} - x_j / \sqrt{1 + d_j} \rVert^2

    summed over both directions. The kernel is sqrt(1+d): a constant X does not score zero.
    """
    degree = torch.bincount(edge_index[0], minlength=x.shape[0]).double()
    scaled = x.double() / (1 + degree).sqrt().unsqueeze(1)
    return _sum_over_edges(scaled, edge_index, lambda a, b: (a - b).square().sum()) / 2


def rayleigh_quotient(x: Tensor, edge_index: Tensor) -> float:
    """`dirichlet_energy_normalized / ||X||_F^2` in [0, 2): scale-free, tells shrinking from smoothing; NaN if X = 0."""
    norm = float(x.double().square().sum())
    return dirichlet_energy_normalized(x, edge_index) / norm if norm else float("nan")


def mean_average_distance(x: Tensor, edge_index: Tensor) -> float:
    """Mean over edges of 1 - cos(x_i, x_j) (MAD, Chen et al. 2020, https://arxiv.org/abs/1909.03211), in [0, 2].

    Edges at a node whose state is zero are left out, as in that paper; NaN where none is left. Blind to a collapse onto
    one direction with equal signs.
    """
    norm = x.double().norm(dim=1, keepdim=True)
    unit = x.double() / torch.where(norm == 0, 1.0, norm)
    alive = (norm.squeeze(1) != 0)[edge_index].all(0)  # NaN stays: a diverged state must not look healthy
    edges = edge_index[:, alive]
    if edges.shape[1] == 0:
        return float("nan") if edge_index.shape[1] else 0.0
    # 1 - cos = |a - b|^2 / 2 for unit vectors, without the cancellation that 1 - a.b suffers near zero
    return _sum_over_edges(unit, edges, lambda a, b: (a - b).square().sum()) / 2 / edges.shape[1]


def _sum_over_edges(x: Tensor, edge_index: Tensor, term: Callable[[Tensor, Tensor], Tensor]) -> float:
    return float(sum(float(term(x[i], x[j])) for i, j in _chunks(edge_index, x.shape[1])))


def _chunks(edge_index: Tensor, channels: int) -> Iterator[Tensor]:
    yield from edge_index.split(max(1, CHUNK // max(1, channels)), dim=1)

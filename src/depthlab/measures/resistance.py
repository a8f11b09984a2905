"""Effective resistance between nodes, if every edge is a resistor of 1."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from depthlab.measures.laplacian import Array, Blocks, laplacian, solver

EXACT = 4096  # nodes of a component up to which its Laplacian is inverted: 400 MB
ERROR = 0.1
PAIRS = 64  # drawn for a mean over pairs where the component is larger


def effective_resistance(
    edge_index: Tensor, num_nodes: int, pairs: Tensor, error: float = ERROR, seed: int = 0
) -> Tensor:
    r"""Effective resistance between pairs of nodes (Klein & Randic 1993).

    .. math:: R_{uv} = (e_u - e_v)^T L^+ (e_u - e_v)

    with L = D - A; infinite between components, 0 from a node to itself. Over-squashing between u and v grows with it
    (Black et al. 2023, https://arxiv.org/abs/2302.06835).

    Exact in components of up to 4,096 nodes (dense Cholesky). In larger ones a sparse system is solved for every pair
    as long as these are no more than k = 2 / error^2; more pairs share k systems: with Gaussian q_s on the edges, B the
    signed incidence matrix,

    .. math:: \hat R_{uv} = \frac1k \sum_{s=1}^k (z_{su} - z_{sv})^2, \qquad L z_s = B^T q_s

    (Spielman & Srivastava 2008, https://arxiv.org/abs/0803.0929), which is R times a chi-squared variable of k degrees
    of freedom over k: unbiased, with a relative standard deviation of `error` for every pair.

    Args:
        edge_index: (2, m), both directions of every undirected edge, no self-loops, no repetitions.
        num_nodes: n.
        pairs: (2, p); `edge_index` itself for all edges.
        error: relative standard deviation in large components, in (0, 1).
        seed: of the sketch.

    Returns:
        float64 (p,).

    Raises:
        ConvergenceError: a system of a large component needs too many steps.
    """
    blocks, (u, v) = Blocks(edge_index, num_nodes), pairs.cpu().numpy()
    label, position = blocks.label[u], blocks.position
    values = np.where(u == v, 0.0, np.inf)
    wanted = np.flatnonzero((label == blocks.label[v]) & (u != v))
    wanted = wanted[np.argsort(label[wanted], kind="stable")]
    for inside in np.split(wanted, np.flatnonzero(np.diff(label[wanted])) + 1) if len(wanted) else []:
        component = label[inside[0]]
        ends = position[u[inside]] - blocks.begin[component], position[v[inside]] - blocks.begin[component]
        values[inside] = _within(blocks[component], *ends, error, seed)
    return torch.from_numpy(values)


@dataclass(frozen=True)
class MeanResistance:
    """Mean resistance over the edges of a graph, and over pairs of nodes of its largest component.

    Attributes:
        edges: exact; NaN without edges.
        pairs: exact, or the mean over a sample; NaN if the component is a single node.
        deviation: standard error of `pairs`; 0 where exact.
        how: how it was computed, in words.
    """

    edges: float
    pairs: float
    deviation: float
    how: str


def mean_resistance(edge_index: Tensor, num_nodes: int, seed: int = 0) -> MeanResistance:
    r"""Mean effective resistance over edges, and over pairs of nodes of the largest component.

    Over edges by Foster's theorem (1949): the sum over all edges is n less the number of components, at no cost
    whatever the size. Over all pairs :math:`2 \, \mathrm{tr}(L^+) / (n - 1)` up to 4,096 nodes; beyond, the mean over
    64 drawn pairs.

    Raises:
        ConvergenceError: as `effective_resistance`.
    """
    blocks = Blocks(edge_index, num_nodes)
    edges = (num_nodes - len(blocks)) / (edge_index.shape[1] / 2) if edge_index.shape[1] else math.nan
    foster = "edges by Foster's theorem"
    block = blocks[blocks.largest] if num_nodes else csr_array((0, 0))
    n = block.shape[0]
    if n < 2:
        return MeanResistance(edges, math.nan, 0.0, foster)
    if n <= EXACT:
        trace = float(np.trace(_inverse(block))) - 1  # the inverse of L + J / n has one eigenvalue 1 more than L^+
        return MeanResistance(edges, 2 * trace / (n - 1), 0.0, f"{foster}, all pairs by a dense inverse")
    generator = np.random.default_rng(seed)
    u = generator.integers(0, n, PAIRS)
    v = (u + generator.integers(1, n, PAIRS)) % n
    resistance = _solved(block, u, v)
    deviation = float(resistance.std(ddof=1)) / math.sqrt(PAIRS)
    return MeanResistance(
        edges, float(resistance.mean()), deviation, f"{foster}, {PAIRS} drawn pairs by sparse systems"
    )


def _within(block: csr_array, u: Array, v: Array, error: float, seed: int) -> Array:
    """Resistance between nodes of a connected graph."""
    if block.shape[0] <= EXACT:
        inverse = _inverse(block)
        diagonal = inverse.diagonal()
        return diagonal[u] + diagonal[v] - 2 * inverse[u, v]
    systems = math.ceil(2 / error**2)
    return _solved(block, u, v) if len(u) <= systems else _sketched(block, u, v, systems, seed)


def _inverse(block: csr_array) -> Array:
    """(L + J / n)^-1, which is L^+ + J / n: J is all ones and cancels in a resistance."""
    n = block.shape[0]
    matrix = torch.from_numpy(laplacian(block).toarray()).add_(1 / n)
    inverse: Array = torch.cholesky_inverse(torch.linalg.cholesky(matrix)).numpy()
    return inverse


def _solved(block: csr_array, u: Array, v: Array) -> Array:
    solve, values = solver(block), np.empty(len(u))
    for pair, ends in enumerate(zip(u, v, strict=True)):
        current = np.zeros(block.shape[0])
        current[list(ends)] = 1, -1
        potential = solve(current)
        values[pair] = potential[ends[0]] - potential[ends[1]]
    return values


def _sketched(block: csr_array, u: Array, v: Array, systems: int, seed: int) -> Array:
    solve, generator, values = solver(block), np.random.default_rng(seed), np.zeros(len(u))
    edges = block.tocoo()
    one_way = edges.row < edges.col
    head, tail = edges.row[one_way], edges.col[one_way]
    for _ in range(systems):
        q = generator.standard_normal(len(head))
        current = np.bincount(head, q, block.shape[0]) - np.bincount(tail, q, block.shape[0])
        potential = solve(current)
        values += (potential[u] - potential[v]) ** 2
    return values / systems

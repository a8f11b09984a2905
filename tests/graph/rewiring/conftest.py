"""Small graphs, and what every rewired graph has to be."""

import torch
from torch import Tensor


def undirected(*pairs: tuple[int, ...]) -> Tensor:
    """Both directions of the pairs, sorted by source, then target."""
    both = {edge for pair in pairs for edge in (pair, pair[::-1])}
    return torch.tensor(sorted(both), dtype=torch.long).reshape(-1, 2).T.contiguous()


def random_graph(num_nodes: int, probability: float, seed: int) -> Tensor:
    """Every pair joined with the same probability."""
    draws = torch.rand(num_nodes, num_nodes, generator=seeded(seed))
    return undirected(*((a, b) for a in range(num_nodes) for b in range(a) if draws[a, b] < probability))


def barbell(size: int) -> Tensor:
    """Two cliques joined by one edge."""
    cliques = [(start + a, start + b) for start in (0, size) for a in range(size) for b in range(a)]
    return undirected(*cliques, (size - 1, size))


def path(num_nodes: int) -> Tensor:
    return undirected(*((i, i + 1) for i in range(num_nodes - 1)))


def cycle(num_nodes: int) -> Tensor:
    return undirected(*((i, (i + 1) % num_nodes) for i in range(num_nodes)))


def clique(num_nodes: int) -> Tensor:
    return undirected(*((a, b) for a in range(num_nodes) for b in range(a)))


def pairs(edge_index: Tensor) -> set[tuple[int, ...]]:
    """The undirected edges, lower end first."""
    return {tuple(sorted(edge)) for edge in edge_index.T.tolist()}


def dense(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The adjacency matrix, float64 (n, n)."""
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    matrix[edge_index[0], edge_index[1]] = 1
    return matrix


def spectral_gap(edge_index: Tensor, num_nodes: int) -> float:
    """The second smallest eigenvalue of I - D^-1/2 A D^-1/2, of a graph without isolated nodes."""
    matrix = dense(edge_index, num_nodes)
    root = matrix.sum(1).rsqrt()
    laplacian = torch.eye(num_nodes, dtype=torch.float64) - root[:, None] * matrix * root
    return float(torch.linalg.eigvalsh(laplacian)[1])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_form(edge_index: Tensor) -> None:
    """int64 (2, m), both directions, sorted by source and target, no loops, no repetitions."""
    assert edge_index.dtype == torch.long and edge_index.ndim == 2 and edge_index.shape[0] == 2
    edges = [tuple(edge) for edge in edge_index.T.tolist()]
    assert edges == sorted(set(edges))
    assert all(a != b for a, b in edges)
    assert {(b, a) for a, b in edges} == set(edges)

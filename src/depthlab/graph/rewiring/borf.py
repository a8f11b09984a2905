"""BORF, batch Ollivier-Ricci flow (Nguyen et al. 2023, https://arxiv.org/abs/2211.15779)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.rewiring.edges import both_directions, edge_keys
from depthlab.graph.rewiring.ollivier_ricci import transport

Edge = tuple[int, int]
LIMIT = 600.0  # seconds
SECONDS = (1e-4, 2e-5)  # of an edge, and of a pair of neighbours of its two ends: measured on one core


def borf(
    edge_index: Tensor,
    num_nodes: int,
    generator: torch.Generator,
    *,
    num_batches: int,
    added: int,
    removed: int,
) -> Tensor:
    r"""Add edges across the most negatively curved ones and remove the most positively curved ones, in batches.

    A batch takes the Ollivier-Ricci curvature :math:`1 - W_1(\mu_u, \mu_v)` of every edge u-v, with :math:`\mu`
    uniform on the neighbours. From the least curvature up, each edge adds the pair (p, q) that is not joined and whose
    part :math:`\pi(p, q) d(p, q)` of the transport cost is largest, until `added` are; then the `removed` edges of
    largest curvature go. Edges of equal curvature come in random order. The authors' code takes the largest part even
    if p and q are joined, and then adds nothing; here an edge gives the next part, or the turn, so that every batch is
    full. It also adds a pair in one direction alone; here an edge has both, so that P stays symmetric. Where nothing is
    to be moved between nodes that are not joined, as on a path, nothing can be added.

    After the first batch only edges are computed again that have an end next to a change. An edge takes a
    transportation problem of d_u x d_v: some milliseconds, so that a graph of 5,000 edges takes seconds and one of a
    million hours.

    Args:
        edge_index: (2, m), both directions of every undirected edge, sorted, no loops.
        num_nodes: n.
        generator: orders edges of equal curvature.
        num_batches: how often.
        added, removed: edges of a batch.

    Returns:
        (2, m + 2 num_batches (added - removed)), of the same form.

    Raises:
        UserError: it would take more than ten minutes, or there are not as many edges to add or to remove in a batch.
    """
    estimate = seconds(edge_index, num_nodes)
    if num_batches and estimate > LIMIT:
        raise UserError(
            f"rewiring=borf would take some {estimate / 60:,.0f} minutes for the curvature of"
            f" {edge_index.shape[1] // 2:,} edges: use rewiring=fosr or rewiring=sdrf on a graph of this size"
        )
    neighbours: list[set[int]] = [set() for _ in range(num_nodes)]
    for source, target in zip(*edge_index.tolist(), strict=True):
        neighbours[source].add(target)
    edges: list[Edge] = [(key // num_nodes, key % num_nodes) for key in edge_keys(edge_index, num_nodes).tolist()]
    curvature: dict[Edge, float] = {}
    for _ in range(num_batches):
        curvature |= {edge: 1 - transport(neighbours, *edge)[0] for edge in edges if edge not in curvature}
        shuffled = [edges[place] for place in torch.randperm(len(edges), generator=generator)]
        ascending = sorted(shuffled, key=curvature.__getitem__)
        if removed > len(edges):
            raise UserError(f"only {len(edges)} edges can be removed: use rewiring.removed={len(edges)} or less")
        new, old = _new_edges(neighbours, ascending, added), ascending[len(edges) - removed :]
        if added > len(new):
            raise UserError(f"only {len(new)} edges can be added in a batch: use rewiring.added={len(new)} or less")
        changed = {node for edge in new + old for node in edge}
        for p, q in new:
            neighbours[p].add(q)
            neighbours[q].add(p)
        for u, v in old:
            neighbours[u].remove(v)
            neighbours[v].remove(u)
        edges = sorted((set(edges) - set(old)) | set(new))
        near = changed.union(*(neighbours[node] for node in changed))
        curvature = {edge: value for edge, value in curvature.items() if near.isdisjoint(edge)}
    keys = torch.tensor([low * num_nodes + high for low, high in edges], dtype=torch.long)
    return both_directions(keys, num_nodes)


def _new_edges(neighbours: list[set[int]], ascending: list[Edge], count: int) -> list[Edge]:
    """Up to `count` new edges: round after round, each edge in turn gives the best free pair that its plan has left."""
    new: dict[Edge, None] = {}
    offers: list[Iterator[Edge]] = [_offers(neighbours, edge) for edge in ascending]
    while offers and len(new) < count:
        left = []
        for offer in offers:
            if len(new) == count:
                break
            pair = next((pair for pair in offer if pair not in new), None)
            if pair is not None:
                new[pair] = None
                left.append(offer)
        offers = left
    return list(new)


def _offers(neighbours: list[set[int]], edge: Edge) -> Iterator[Edge]:
    """The pairs that are not joined, by their part of the transport cost; nothing is computed before the first one."""
    for p, q, _ in sorted(transport(neighbours, *edge)[1], key=lambda move: -move[2]):
        if q not in neighbours[p]:
            yield min(p, q), max(p, q)


def seconds(edge_index: Tensor, num_nodes: int) -> float:
    """What the curvature of all edges takes, roughly: by edges and by pairs of neighbours of their ends."""
    degree = torch.bincount(edge_index[0], minlength=num_nodes).double()
    pairs = float((degree[edge_index[0]] * degree[edge_index[1]]).sum()) / 2
    return SECONDS[0] * edge_index.shape[1] / 2 + SECONDS[1] * pairs

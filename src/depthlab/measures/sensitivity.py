"""Sensitivity to far nodes: the Jacobian of the last state by hop distance."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from depthlab.measures.edges import check_undirected


def sensitivity(
    last_state: Callable[[Tensor], Tensor], x: Tensor, edge_index: Tensor, nodes: Tensor, hops: int
) -> list[float]:
    r"""Mean norm of the Jacobian between nodes at hop distance k (Topping et al. 2022, lemma 1).

    .. math:: \mathrm{mean}_{v, u : d(v, u) = k} \Bigl\lVert \frac{\partial h_v^{(L)}}{\partial x_u} \Bigr\rVert_F

    over the given v and all u, with the Frobenius norm of the (channels, features) block. Exact: one backward pass per
    given node and channel. 0 beyond the receptive field, which is L hops for one hop per layer.

    Args:
        last_state: dense features -> h^{(L)}, (n, channels).
        x: features (n, f).
        edge_index: (2, m), both directions of every undirected edge once, no self-loops.
        nodes: the nodes v, (s,).
        hops: largest k.

    Returns:
        Values for k = 0..hops; NaN if no node is at that distance from a given node.

    Raises:
        ValueError: `edge_index` is not of this form.
    """
    distance = hop_distance(edge_index, x.shape[0], nodes, hops)
    total, count = (torch.zeros(hops + 1, dtype=torch.float64) for _ in range(2))
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        states = last_state(x)
        for node, far in zip(nodes.tolist(), distance, strict=True):
            squares = torch.zeros(x.shape[0], dtype=torch.float64)
            for value in states[node]:
                (grad,) = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)
                if grad is not None:
                    squares += _row_norms(grad).square().cpu()
            reached = far >= 0
            total.index_add_(0, far[reached], squares[reached].sqrt())
            count += torch.bincount(far[reached], minlength=hops + 1)
    return [float(mean) for mean in total / count]


def _row_norms(x: Tensor) -> Tensor:
    """Norms of the rows, float64; in the precision of x, ten times as fast, where squares do not vanish or overflow."""
    norms = torch.linalg.vector_norm(x, dim=1).double()
    unsafe = ~((norms > 1e-15) & (norms < 1e15))
    norms[unsafe] = torch.linalg.vector_norm(x[unsafe], dim=1, dtype=torch.float64)
    return norms


def hop_distance(edge_index: Tensor, num_nodes: int, nodes: Tensor, hops: int) -> Tensor:
    """Number of edges from each of `nodes` (s,) to every node, (s, n); -1 where it is more than `hops`.

    Raises:
        ValueError: the edges are not both directions of every undirected edge.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    check_undirected(edge_index, num_nodes)
    row, col = edge_index.cpu().numpy()
    adjacency = coo_array((np.ones(len(row)), (row, col)), shape=(num_nodes, num_nodes)).tocsr()
    distance = dijkstra(adjacency, indices=nodes.cpu().numpy(), unweighted=True, limit=hops)
    return torch.from_numpy(np.where(np.isfinite(distance), distance, -1).astype(np.int64))

"""Transfer tasks: one node's class has to arrive at another, along a ring, a crossed ring, or a clique and a path."""

from pathlib import Path

import torch
from torch import Tensor

from depthlab.data.graph_set import GraphSet


def make_ring_transfer(
    files: list[Path], size: int = 10, classes: int = 5, train_graphs: int = 5000, test_graphs: int = 500
) -> GraphSet:
    """RingTransfer (Bodnar et al. 2021; Di Giovanni et al. 2023, https://arxiv.org/abs/2302.02941).

    A ring of n nodes; the class stands as a one-hot vector at node n // 2, opposite to node 0, where it is asked for.
    As in lrnzgiusti/on-oversquashing: node 0 has zeros, all others but the target ones; classes equally often; as many
    layers as hops. Nothing is random, so all graphs of a class are the same, in training and test alike: scores tell
    whether the class arrives, not how well it generalises. The paper chooses on its 500 test graphs; here
    `test_graphs` are for validation and as many more for the test.

    Args:
        files: none.
        size: n, number of nodes.
        classes: number of classes, and of features.
        train_graphs, test_graphs: sizes of the parts.
    """
    return _transfer(_ring(size), size, 0, size // 2, size // 2, classes, train_graphs, test_graphs)


def make_crossed_ring_transfer(
    files: list[Path], size: int = 10, classes: int = 5, train_graphs: int = 5000, test_graphs: int = 500
) -> GraphSet:
    """CrossedRing of the same paper: as `make_ring_transfer`, with edges that cross between the two ways round.

    Nodes i and n - i are equally far from node 0; each i < n // 2 is also joined to n - i - 1 and, from i = 2 on, to
    n - i + 1. The target is as far as in the ring, with more paths to it.
    """
    low = torch.arange(1, size // 2)
    farther, nearer = torch.stack([low, size - 1 - low]), torch.stack([low[1:], size + 1 - low[1:]])
    edges = torch.cat([_ring(size), farther, nearer], 1)
    return _transfer(edges, size, 0, size // 2, size // 2, classes, train_graphs, test_graphs)


def make_clique_path_transfer(
    files: list[Path], size: int = 10, classes: int = 5, train_graphs: int = 5000, test_graphs: int = 500
) -> GraphSet:
    """CliquePath of the same paper (a lollipop): as `make_ring_transfer`, on a clique with a path at its end.

    Nodes 0 to n // 2 - 1 form the clique, the others the path; node n // 2 - 1 joins them. Node 0 asks, the last node
    of the path knows, n - n // 2 + 1 hops away.
    """
    half = size // 2
    path = torch.arange(half - 1, size)
    edges = torch.cat([torch.triu_indices(half, half, 1), torch.stack([path[:-1], path[1:]])], 1)
    return _transfer(edges, size, 0, size - 1, size - half + 1, classes, train_graphs, test_graphs)


def _ring(size: int) -> Tensor:
    nodes = torch.arange(size)
    return torch.stack([nodes, (nodes + 1) % size])


def _transfer(
    edges: Tensor, size: int, source: int, target: int, hops: int, classes: int, train: int, test: int
) -> GraphSet:
    """The graphs of one task: `edges` (2, m) in any direction; parts in order of the graphs' numbers."""
    y = torch.arange(train + 2 * test) % classes
    x = torch.ones(len(y), size, classes)
    x[:, source] = 0
    x[:, target] = torch.eye(classes)[y]
    both = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    part = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([train, test, test]))[None]
    return GraphSet(x, classes, both, source, hops, y, part == 0, part == 1, part == 2)

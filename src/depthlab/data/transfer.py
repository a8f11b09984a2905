"""Transfer tasks: one node's class has to arrive at another, along a ring, a crossed ring, or a clique and a path."""

from pathlib import Path

import torch
from torch import Tensor

from depthlab.data.graph_set import GraphSet


def make_ring_transfer(
    files: list[Path], size: int = 10, classes: int = 5, train_graphs: int = 5000, test_graphs: int = 500
) -> GraphSet:
    """RingTransfer (Bodnar et al. 2021; Di Giovanni et al. 2023, https://arxiv.org/abs/2302.02941).

    A ring of n nodes; node 0 has to predict the class, a one-hot vector in the features of the opposite node n // 2.
    As in lrnzgiusti/on-oversquashing, the features of node 0 are zeros, those of all other nodes ones; classes are
    equally frequent; a network has as many layers as hops. All graphs of a class are the same, in training and test
    data: scores measure whether the class arrives, not generalisation. The paper selects on its 500 test graphs; here
    `test_graphs` graphs are for validation and as many for the test.

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
    """CrossedRing of the same paper: as `make_ring_transfer`, with edges that cross between the two paths.

    Nodes i and n - i are equally far from node 0; each i < n // 2 is also joined to n - i - 1 and, from i = 2 on, to
    n - i + 1. The distance to the target is that of the ring, with more paths.
    """
    low = torch.arange(1, size // 2)
    farther, nearer = torch.stack([low, size - 1 - low]), torch.stack([low[1:], size + 1 - low[1:]])
    edges = torch.cat([_ring(size), farther, nearer], 1)
    return _transfer(edges, size, 0, size // 2, size // 2, classes, train_graphs, test_graphs)


def make_clique_path_transfer(
    files: list[Path], size: int = 10, classes: int = 5, train_graphs: int = 5000, test_graphs: int = 500
) -> GraphSet:
    """CliquePath of the same paper (a lollipop): as `make_ring_transfer`, on a clique with a path at its end.

    Nodes 0 to n // 2 - 1 form the clique, the others the path; node n // 2 - 1 joins them. Node 0 has to predict
    the class of the last node of the path, n - n // 2 + 1 hops away.
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
    """The graphs of one task, in the order training, validation, test; `edges` (2, m) in any direction."""
    y = torch.arange(train + 2 * test) % classes
    x = torch.ones(len(y), size, classes)
    x[:, source] = 0
    x[:, target] = torch.eye(classes)[y]
    both = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    part = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([train, test, test]))[None]
    return GraphSet(x, classes, both, source, hops, y, part == 0, part == 1, part == 2)

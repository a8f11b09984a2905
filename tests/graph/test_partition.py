"""METIS finds the parts that are there."""

import sys

import pytest
import torch
from torch import Tensor
from torch_geometric.utils import coalesce, to_undirected

from depthlab.config.errors import UserError
from depthlab.graph.neighbours import Neighbours
from depthlab.graph.partition import metis

CLIQUES, SIZE = 4, 8


def cliques() -> Tensor:
    """Four cliques in a ring, joined by one edge each: node i is in clique i % 4."""
    one, other = torch.triu_indices(SIZE, SIZE, 1)
    inside = torch.cat([torch.stack([one, other]) * CLIQUES + clique for clique in range(CLIQUES)], 1)
    bridges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    return coalesce(to_undirected(torch.cat([inside, bridges], 1)))


def test_cliques_are_parts() -> None:
    found = metis(Neighbours.of(cliques(), CLIQUES * SIZE), CLIQUES)
    assert found.dtype == torch.int64
    assert len(found[:CLIQUES].unique()) == CLIQUES
    assert torch.equal(found, found[:CLIQUES].repeat(SIZE))


def test_the_same_graph_is_cut_in_the_same_way() -> None:
    rows = Neighbours.of(cliques(), CLIQUES * SIZE)
    assert torch.equal(metis(rows, 3), metis(rows, 3))
    assert metis(rows, 1).unique().tolist() == [0]


def test_what_cannot_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Neighbours.of(cliques(), CLIQUES * SIZE)
    with pytest.raises(UserError, match=r"^loader\.parts must be at most the 32 nodes of the graph, got 33$"):
        metis(rows, 33)
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(UserError, match=r"^loader=cluster needs pymetis: pip install 'depthlab\[cluster\]'"):
        metis(rows, 2)

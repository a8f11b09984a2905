"""The large block model does what its knobs say."""

from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.sbm_large import make_sbm_large

SMALL: dict[str, Any] = {"nodes": 600, "degree": 8.0, "classes": 3, "block_size": 50, "features": 8}


@pytest.mark.parametrize("homophily", [0.0, 0.3, 0.8, 1.0])
def test_homophily_and_degree_are_exact(homophily: float) -> None:
    graph = make_sbm_large([], **SMALL | {"homophily": homophily})
    low, high = graph.edge_index
    assert low.numel() == 600 * 8 / 2
    assert float((graph.y[low] == graph.y[high]).double().mean()) == pytest.approx(homophily)


def test_edges_are_distinct_pairs() -> None:
    low, high = make_sbm_large([], **SMALL).edge_index
    assert (low < high).all()
    assert (low * 600 + high).unique().numel() == low.numel()


def test_equals_are_joined_inside_their_block_alone() -> None:
    graph = make_sbm_large([], **SMALL)
    blocks = 12  # 600 nodes in blocks of 50, node i in block i % 12
    low, high = graph.edge_index
    same = graph.y[low] == graph.y[high]
    assert torch.equal(same, low % blocks == high % blocks)


def test_partners_inside_a_block_are_drawn_uniformly() -> None:
    graph = make_sbm_large([], **SMALL | {"nodes": 6000, "homophily": 1.0})
    low, high = graph.edge_index
    apart = (high - low) // 120  # in units of blocks: of 50 nodes two differ by 17 places on average
    assert float(apart.double().mean()) == pytest.approx(17, abs=0.5)


@pytest.mark.parametrize("nodes", [40, 601, 1000])
def test_classes_are_balanced_and_blocks_of_any_size_do(nodes: int) -> None:
    graph = make_sbm_large([], **SMALL | {"nodes": nodes, "degree": 2.0})
    sizes = torch.bincount(graph.y)
    assert len(sizes) == 3 and int(sizes.max() - sizes.min()) <= nodes // 50 + 1
    assert int(graph.edge_index.max()) < nodes


def test_signal_is_the_length_of_a_class_mean() -> None:
    graph = make_sbm_large([], **SMALL | {"nodes": 6000, "signal": 2.0})
    for label in range(3):
        members = graph.x[graph.y == label]
        assert float(members.mean(0).norm()) == pytest.approx(2, abs=0.1)
        assert float((members - members.mean(0)).square().sum(1).mean()) == pytest.approx(1, abs=0.1)


def test_seed_decides_everything() -> None:
    first, again, other = (make_sbm_large([], **SMALL | {"seed": seed}).tensors for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name != "y")


def test_splits_are_disjoint_halves_and_quarters() -> None:
    graph = make_sbm_large([], **SMALL)
    parts = torch.stack([graph.train, graph.val, graph.test])
    assert parts.sum((0, 2)).tolist() == [600] * 10
    assert parts.sum(2)[:, 0].tolist() == [300, 150, 150]


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"nodes": 11}, r"^dataset\.nodes must be at least 4 for each of the 3 classes, got 11$"),
        ({"degree": 40.0}, r"^dataset\.degree=40\.0 with homophily 0\.8 needs blocks of more nodes than 50"),
        ({"degree": 200.0, "homophily": 0.0}, r"^dataset\.degree=200\.0 is too much for 600 nodes"),
    ],
)
def test_more_than_the_nodes_can_give_is_refused(knobs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_sbm_large([], **SMALL | knobs)

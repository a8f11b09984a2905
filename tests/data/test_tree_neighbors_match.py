"""The tree task against a tree written by hand and the counts of its authors."""

from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.tree_neighbors_match import make_tree_neighbors_match

KEYS = pytest.mark.parametrize("keys", ["ordered", "shuffled"])


def test_the_tree_of_radius_two_by_hand() -> None:
    tree = make_tree_neighbors_match([], radius=2)
    #        0
    #    1       2
    #  3   4   5   6
    assert set(map(tuple, tree.edge_index.T.tolist())) == {(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)}
    assert (tree.num_nodes, tree.root, tree.task_range, tree.width, int(tree.y.max())) == (7, 0, 2, 8, 3)
    for codes, y in zip(tree.x.tolist(), tree.y.tolist(), strict=True):
        (query, no_value), *between = codes[:3]
        keys, values = zip(*codes[3:], strict=True)
        assert no_value == -1 and between == [[-1, -1], [-1, -1]]
        assert keys == (0, 1, 2, 3) and sorted(values) == [4, 5, 6, 7]
        assert values[query] == 4 + y
    assert len({tuple(codes.flatten().tolist()) for codes in tree.x}) == 4 * 24  # every order with every key


@pytest.mark.parametrize(("radius", "count"), [(2, 96), (3, 8000), (4, 16000), (5, 32000), (6, 32000), (7, 32000)])
def test_as_many_graphs_as_the_authors(radius: int, count: int) -> None:
    tree = make_tree_neighbors_match([], radius=radius)
    assert len(tree.y) == count
    assert tree.num_nodes == 2 ** (radius + 1) - 1
    assert torch.bincount(tree.y).tolist() == [count // 2**radius] * 2**radius
    assert float(tree.train.double().mean()) == pytest.approx(0.8, abs=0.01)
    assert (tree.train.int() + tree.val.int() + tree.test.int() == 1).all()


@KEYS
def test_the_leaf_with_the_key_decides(keys: str) -> None:
    tree = make_tree_neighbors_match([], radius=3, keys=keys, graphs=400)
    leaves, query = tree.x[:, 7:].long(), tree.x[:, 0, 0].long()
    matches = leaves[:, :, 0] == query[:, None]
    assert (matches.sum(1) == 1).all()
    assert torch.equal(leaves[:, :, 1][matches] - 8, tree.y)
    assert len(tree.y) == 400
    positions = matches.long().argmax(1)
    assert torch.equal(positions, query) == (keys == "ordered")


def test_without_the_leaf_there_is_nothing_but_chance() -> None:
    """Of the graphs that ask for one key, every class has the same share: neither root nor keys tell the answer."""
    tree = make_tree_neighbors_match([], radius=2)
    for key in range(4):
        asked = tree.y[tree.x[:, 0, 0] == key]
        assert torch.bincount(asked).tolist() == [6, 6, 6, 6]


@KEYS
def test_seed_decides_the_graphs(keys: str) -> None:
    first, again, other = (make_tree_neighbors_match([], radius=4, keys=keys, graphs=800, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.x, again.x) and torch.equal(first.train, again.train)
    assert not torch.equal(first.x, other.x) and not torch.equal(first.train, other.train)


def test_permutations_bound_the_number_of_graphs() -> None:
    assert len(make_tree_neighbors_match([], radius=3, permutations=20).y) == 160
    assert len(make_tree_neighbors_match([], radius=3, graphs=101).y) == 96


@pytest.mark.parametrize("knobs", [{"graphs": 79}, {"permutations": 9}])
def test_too_few_graphs_are_refused(knobs: dict[str, Any]) -> None:
    sentence = r"^dataset\.radius=3 needs dataset\.graphs=80 and dataset\.permutations=10 or more, got \d+ and \d+$"
    with pytest.raises(UserError, match=sentence):
        make_tree_neighbors_match([], radius=3, **knobs)

"""Splits that are drawn."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.splits import fraction_masks, random_split

SIZES = (900, 600, 300)  # of the classes


@pytest.fixture
def y() -> Tensor:
    """Three classes of different size and 40 nodes without one, in no order."""
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(SIZES)] + [torch.full((40,), -1)])
    return labels[torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(0))]


def test_random_split_has_the_sizes_of_planetoid(y: Tensor) -> None:
    train, val, test = random_split(y, seed=0)
    assert Counter(y[train].tolist()) == {0: 20, 1: 20, 2: 20}
    assert (len(val), len(test)) == (500, 1000)
    assert torch.cat([train, val, test]).unique().numel() == 60 + 500 + 1000
    assert (y[torch.cat([train, val, test])] >= 0).all()
    for part in (train, val, test):
        assert torch.equal(part, part.sort().values)


def test_random_split_depends_on_its_seed_alone(y: Tensor) -> None:
    first = random_split(y, seed=7)
    torch.manual_seed(123)
    for part, again, other in zip(first, random_split(y, seed=7), random_split(y, seed=8), strict=True):
        assert torch.equal(part, again)
        assert not torch.equal(part, other)


def test_random_split_leaves_the_global_generator_alone(y: Tensor) -> None:
    before = torch.get_rng_state()
    random_split(y, seed=1)
    fraction_masks(y, 2, 0.5, 0.25, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_split_draws_every_node_alike(y: Tensor) -> None:
    drawn = torch.cat([random_split(y, seed)[0] for seed in range(40)])
    rare = drawn[y[drawn] == 2]
    assert rare.numel() == 800
    assert rare.unique().numel() > 250  # 800 draws from 300 nodes reach about 280 of them


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((900, 20), "more than 20 nodes in every class"), ((900, 0, 900), "more than 20 nodes in every class"),
     ((770, 769), "1500 nodes beyond the training nodes")],
)  # fmt: skip
def test_random_split_of_too_few_nodes(sizes: tuple[int, ...], words: str) -> None:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    with pytest.raises(UserError, match=f"^split=random needs {words}.*: use a fixed split, or "):
        random_split(labels, seed=0)


def test_random_split_of_just_enough_nodes() -> None:
    labels = torch.arange(1540) % 2
    assert [len(part) for part in random_split(labels, seed=0)] == [40, 500, 1000]


def test_fraction_masks_are_stratified(y: Tensor) -> None:
    train, val, test = fraction_masks(y, count=4, train=0.5, val=0.25, seed=0)
    assert train.shape == val.shape == test.shape == (4, y.numel())
    assert torch.equal(train.int() + val.int() + test.int(), (y >= 0).int().expand(4, -1))
    for split in range(4):
        for label, size in enumerate(SIZES):
            counts = [int(mask[split, y == label].sum()) for mask in (train, val, test)]
            assert counts == [size // 2, size // 4, size // 4]


def test_fraction_masks_round_within_each_class() -> None:
    train, val, test = fraction_masks(torch.arange(30) % 3, count=1, train=0.28, val=0.4, seed=0)
    assert [int(mask.sum()) for mask in (train, val, test)] == [9, 12, 9]  # of ten nodes a class 3, 4 and 3


def test_fraction_masks_differ_by_split_and_seed(y: Tensor) -> None:
    masks = torch.cat([fraction_masks(y, 5, 0.5, 0.25, seed)[0] for seed in (0, 1)])
    assert masks.unique(dim=0).shape[0] == 10
    assert torch.equal(masks[:5], fraction_masks(y, 5, 0.5, 0.25, seed=0)[0])

"""The embedded graph of digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from depthlab.data.dataset import Dataset
from depthlab.data.digits import make_digits
from depthlab.data.prepare import read
from tests.settings import dataset_settings


@pytest.fixture(scope="module")
def digits() -> Dataset:
    dataset = read(dataset_settings(target="depthlab.data.digits.make_digits", neighbors=10, seed=0))
    assert isinstance(dataset, Dataset)
    return dataset


def test_nodes(digits: Dataset) -> None:
    images = load_digits()
    assert digits.x.shape == (1797, 64)
    assert float(digits.x.min()) == 0 and float(digits.x.max()) == 1
    assert np.allclose(16 * digits.x.numpy(), images.data)
    assert np.array_equal(digits.y.numpy(), images.target)


def test_edges_are_symmetric_without_loops_and_repetitions(digits: Dataset) -> None:
    forth = set(map(tuple, digits.edge_index.T.tolist()))
    assert len(forth) == digits.edge_index.shape[1]
    assert forth == {(b, a) for a, b in forth}
    assert all(a != b for a, b in forth)
    degree = torch.bincount(digits.edge_index[0], minlength=1797)
    assert int(degree.min()) >= 10


@pytest.mark.parametrize("neighbors", [1, 5])
def test_edges_join_nearest_neighbours(neighbors: int) -> None:
    dataset = make_digits([], neighbors=neighbors)
    for node in (0, 700, 1796):
        distance = (dataset.x - dataset.x[node]).double().norm(dim=1)
        distance[node] = torch.inf
        chosen = dataset.edge_index[1, dataset.edge_index[0] == node]
        assert chosen.numel() == neighbors
        assert torch.allclose(distance[chosen].sort().values, distance.sort().values[:neighbors])


def test_ten_splits(digits: Dataset) -> None:
    assert digits.train.shape == (10, 1797)
    assert ((digits.train.int() + digits.val.int() + digits.test.int()) == 1).all()
    assert digits.train.unique(dim=0).shape[0] == 10
    for train, val in zip(digits.train, digits.val, strict=True):
        assert abs(int(train.sum()) - 50) <= 5 and abs(int(val.sum()) - 100) <= 5
        assert torch.bincount(digits.y[train], minlength=10).min() >= 4


def test_seed_moves_the_splits_only(digits: Dataset) -> None:
    other = make_digits([], seed=1)
    assert torch.equal(other.x, digits.x)
    assert not torch.equal(other.train, digits.train)


def test_ties_fall_by_node_number_whatever_the_number_of_threads() -> None:
    one = make_digits([]).edge_index
    torch.set_num_threads(2)
    try:
        assert torch.equal(make_digits([]).edge_index, one)
    finally:
        torch.set_num_threads(1)


def test_neighbors_are_the_nearest() -> None:
    dataset = make_digits([], neighbors=3)
    distance = torch.cdist(dataset.x.double(), dataset.x.double()).fill_diagonal_(torch.inf)
    reference = distance.topk(3, largest=False).values.sum()
    source, target = dataset.edge_index
    assert distance[source, target].sum().item() == pytest.approx(reference.item())

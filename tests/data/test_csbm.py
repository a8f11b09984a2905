"""The generated graph does what its knobs say."""

from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.data.csbm import make_csbm
from depthlab.data.dataset import Dataset


def edge_homophily(dataset: Dataset) -> float:
    source, target = dataset.y[dataset.edge_index]
    return float((source == target).double().mean())


def mean_degree(dataset: Dataset) -> float:
    return 2 * dataset.edge_index.shape[1] / dataset.num_nodes  # every undirected edge stands once


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("homophily", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("degree", [4.0, 20.0])
def test_homophily_and_degree(homophily: float, degree: float, classes: int) -> None:
    dataset = make_csbm([], nodes=2000, degree=degree, homophily=homophily, classes=classes)
    # about nodes * degree / 2 = 4,000 edges at least: the bounds are five standard deviations
    assert edge_homophily(dataset) == pytest.approx(homophily, abs=0.04)
    assert mean_degree(dataset) == pytest.approx(degree, rel=0.08)


@pytest.mark.parametrize("homophily", [0.0, 1.0])
def test_extreme_homophily(homophily: float) -> None:
    assert edge_homophily(make_csbm([], nodes=300, homophily=homophily)) == homophily


def test_edges_are_distinct_pairs() -> None:
    low, high = make_csbm([], nodes=100, degree=30.0).edge_index
    assert (low < high).all()
    assert (low * 100 + high).unique().numel() == low.numel()


def test_no_edges_and_all_edges() -> None:
    assert make_csbm([], nodes=40, degree=0.0).edge_index.shape == (2, 0)
    assert mean_degree(make_csbm([], nodes=40, degree=39.0, homophily=19 / 39)) == 39


@pytest.mark.parametrize("knobs", [{"degree": 500.0}, {"degree": 30.0, "homophily": 0.0}, {"classes": 11}])
def test_more_than_the_nodes_can_give_is_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^dataset\.(degree|nodes)"):
        make_csbm([], nodes=40, **knobs)


def test_classes_are_balanced() -> None:
    dataset = make_csbm([], nodes=1000, classes=7)
    assert int(dataset.y.max()) == 6
    assert set(torch.bincount(dataset.y).tolist()) == {142, 143}


@pytest.mark.parametrize("signal", [0.0, 1.0, 4.0])
def test_signal_is_the_length_of_a_class_mean(signal: float) -> None:
    dataset = make_csbm([], nodes=4000, signal=signal, features=16, classes=2)
    for label in range(2):
        members = dataset.x[dataset.y == label]
        assert float(members.mean(0).norm()) == pytest.approx(signal, abs=0.08)
        noise = members - members.mean(0)
        assert float(noise.square().sum(1).mean()) == pytest.approx(1, abs=0.05)


def test_seed_decides_everything() -> None:
    first, again, other = (make_csbm([], nodes=200, seed=seed) for seed in (3, 3, 4))
    for name, value in first.tensors.items():
        assert torch.equal(value, getattr(again, name)), name
        if name != "y":
            assert not torch.equal(value, getattr(other, name)), name


def test_splits_are_halves_and_quarters() -> None:
    dataset = make_csbm([], nodes=400)
    assert [mask.sum(1).tolist() for mask in (dataset.train, dataset.val, dataset.test)] == [
        [200] * 10, [100] * 10, [100] * 10,
    ]  # fmt: skip

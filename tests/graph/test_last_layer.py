import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.drop_edge import MODES, DropEdge, active_edges
from depthlab.graph.last_layer import LastLayer
from depthlab.ops import MaskSource

N = 12


def adjacency(seed: int) -> Adjacency:
    edges = torch.randint(0, N, (2, 30), generator=torch.Generator().manual_seed(seed))
    return gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)


@pytest.fixture
def two() -> LastLayer:
    return LastLayer(adjacency(0), adjacency(1), depth=3)


def dropped(drop_edge: DropEdge, two: LastLayer) -> LastLayer:
    masks = MaskSource(5)
    masks.restart(2)
    sample = drop_edge(two, masks)
    assert isinstance(sample, LastLayer)
    return sample


def test_the_last_layer_has_a_graph_of_its_own(two: LastLayer) -> None:
    assert two.at(0) is two.at(1) is two.first
    assert two.at(2) is two.last


def test_the_only_layer_is_the_last() -> None:
    one = LastLayer(adjacency(0), adjacency(1), depth=1)
    assert one.at(0) is one.last


@pytest.mark.parametrize("mode", MODES)
def test_edges_are_dropped_from_the_other_layers_alone(mode: str, two: LastLayer) -> None:
    sample = dropped(DropEdge(0.5, mode), two)
    assert sample.at(2) is two.last
    assert sample.at(0) is sample.at(1)
    assert 0 < active_edges(sample.at(0)) < two.at(0).num_edges
    masks = MaskSource(5)
    masks.restart(2)
    assert torch.equal(sample.at(0).values, DropEdge(0.5, mode).sample(adjacency(0), masks).values)


def test_a_sample_for_each_of_the_other_layers(two: LastLayer) -> None:
    sample = dropped(DropEdge(0.5, per_layer=True), two)
    first, second = sample.at(0), sample.at(1)
    kept: list[Tensor] = [one.values != 0 for one in (first, second)]
    assert not torch.equal(*kept)
    assert sample.at(2) is two.last


def test_without_probability_nothing_is_sampled(two: LastLayer) -> None:
    assert DropEdge(0.0)(two, MaskSource(0)) is two

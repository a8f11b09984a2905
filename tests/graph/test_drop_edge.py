import math

import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.drop_edge import MODES, DropEdge, LayerSamples, active_edges
from depthlab.ops import MaskSource

N = 14
MODE = pytest.mark.parametrize("mode", MODES)
DIRECTED = pytest.mark.parametrize("directed", [False, True])


def adjacency(directed: bool = False) -> Adjacency:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, N, (2, 40), generator=generator)
    back = edges[:, :10] if directed else edges
    return gcn_adjacency(torch.cat([edges, back.flip(0)], 1), N)


def drawn(drop_edge: DropEdge, whole: Adjacency, step: int = 0, seed: int = 1) -> Adjacency:
    masks = MaskSource(seed)
    masks.restart(step)
    sample = drop_edge(whole, masks)
    assert isinstance(sample, Adjacency)
    return sample


def loops(a: Adjacency) -> Tensor:
    return a.row == a.col


def survivors(sample: Adjacency) -> Tensor:
    alive = (sample.values != 0) & ~loops(sample)
    return torch.stack([sample.col[alive], sample.row[alive]])


@pytest.mark.parametrize("step", range(3))
@DIRECTED
@MODE
def test_both_directions_go_together_and_self_loops_stay(mode: str, directed: bool, step: int) -> None:
    whole = adjacency(directed)
    sample = drawn(DropEdge(0.5, mode), whole, step)
    alive = sample.values != 0
    assert alive[loops(sample)].all()
    for number in range(whole.num_edges):
        assert alive[whole.pair == number].unique().numel() == 1
    assert 0 < active_edges(sample) < whole.num_edges
    assert active_edges(sample) == int(whole.pair[alive].unique().numel()) - 1
    assert torch.equal(sample.transpose.to_dense(), sample.matrix.to_dense().T)


@DIRECTED
@MODE
def test_the_pattern_stays_and_the_original_is_left_alone(mode: str, directed: bool) -> None:
    whole = adjacency(directed)
    before = whole.values.clone()
    sample = drawn(DropEdge(0.7, mode), whole)
    assert torch.equal(sample.matrix.crow_indices(), whole.matrix.crow_indices())
    assert torch.equal(sample.matrix.col_indices(), whole.matrix.col_indices())
    assert sample.num_edges == whole.num_edges and sample.pair is whole.pair
    assert torch.equal(whole.values, before) and active_edges(whole) == whole.num_edges


@pytest.mark.parametrize("p", [0.2, 0.6, 0.95])
@DIRECTED
def test_renormalising_gives_the_adjacency_of_the_surviving_subgraph(directed: bool, p: float) -> None:
    sample = drawn(DropEdge(p), adjacency(directed))
    expected = gcn_adjacency(survivors(sample), N)
    torch.testing.assert_close(sample.matrix.to_dense(), expected.matrix.to_dense())
    torch.testing.assert_close(sample.transpose.to_dense(), expected.transpose.to_dense())


@DIRECTED
def test_rescaling_keeps_the_weights_of_the_whole_graph(directed: bool) -> None:
    whole = adjacency(directed)
    sample = drawn(DropEdge(0.25, "rescale"), whole)
    expected = torch.where(loops(whole), whole.values, whole.values / 0.75)
    alive = sample.values != 0
    torch.testing.assert_close(sample.values[alive], expected[alive])


@pytest.mark.parametrize("p", [0.3, 0.6])
def test_rescaling_keeps_the_mean(p: float) -> None:
    whole, masks, count = adjacency(), MaskSource(2), 3000
    mean = torch.zeros(whole.values.numel(), dtype=torch.float64)
    for _ in range(count):
        mean += DropEdge(p, "rescale").sample(whole, masks).values / count
    sigma = whole.values * math.sqrt(p / (1 - p) / count)
    assert torch.all((mean - whole.values)[~loops(whole)].abs() <= 5 * sigma[~loops(whole)])
    torch.testing.assert_close(mean[loops(whole)], whole.values[loops(whole)].double())


@pytest.mark.parametrize("p", [0.1, 1 / 3, 0.8])
@MODE
def test_edges_are_dropped_with_the_given_probability(mode: str, p: float) -> None:
    whole, masks, count = adjacency(), MaskSource(3), 400
    alive = sum(active_edges(DropEdge(p, mode).sample(whole, masks)) for _ in range(count))
    trials = whole.num_edges * count
    assert abs(alive - (1 - p) * trials) < 5 * math.sqrt(p * (1 - p) * trials)


@pytest.mark.parametrize("per_layer", [False, True])
@MODE
def test_without_probability_the_object_itself_comes_back(mode: str, per_layer: bool) -> None:
    whole = adjacency()
    assert DropEdge(0.0, mode, per_layer)(whole, MaskSource(0)) is whole


@MODE
def test_one_sample_is_shared_by_all_layers(mode: str) -> None:
    sample = drawn(DropEdge(0.5, mode), adjacency())
    assert sample.at(1) is sample and sample.at(2) is sample


@MODE
def test_every_layer_can_have_a_sample_of_its_own(mode: str) -> None:
    whole = adjacency()
    before = whole.values.clone()
    samples = DropEdge(0.5, mode, per_layer=True)(whole, MaskSource(1))
    assert isinstance(samples, LayerSamples)
    first, second = samples.at(1), samples.at(2)
    assert not torch.equal(first.values != 0, second.values != 0)
    assert torch.equal(first.values, drawn(DropEdge(0.5, mode), whole).values)
    assert torch.equal(whole.values, before)


def test_seed_and_step_decide_the_sample() -> None:
    whole, drop_edge = adjacency(), DropEdge(0.5)
    first = drawn(drop_edge, whole, step=4).values
    assert torch.equal(first, drawn(drop_edge, whole, step=4).values)
    assert not torch.equal(first, drawn(drop_edge, whole, step=5).values)
    assert not torch.equal(first, drawn(drop_edge, whole, step=4, seed=2).values)


def test_counting_active_edges() -> None:
    path = gcn_adjacency(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3)
    assert active_edges(path) == 2
    assert active_edges(path.with_values(path.values * (path.pair != 0))) == 1
    assert active_edges(path.with_values(torch.zeros_like(path.values))) == 0
    assert active_edges(gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 3)) == 0


def test_a_graph_without_edges_stays_as_it_is() -> None:
    whole = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 3)
    assert torch.equal(drawn(DropEdge(0.5), whole).values, whole.values)

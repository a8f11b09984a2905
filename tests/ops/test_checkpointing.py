import pytest
import torch
from torch import nn

from depthlab.ops import MaskSource, recomputing

CPU = torch.device("cpu")


def test_a_recomputation_repeats_the_draws_and_leaves_no_trace() -> None:
    masks, norm = MaskSource(0), nn.BatchNorm1d(4)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    place = masks.place()
    lanes, normed = masks.lanes((5,), CPU), norm(x)
    statistics = {name: value.clone() for name, value in norm.state_dict().items()}
    following = masks.place()
    with recomputing(masks, place, [norm, nn.Identity(), nn.LayerNorm(4)]):
        assert torch.equal(masks.lanes((5,), CPU), lanes)
        torch.testing.assert_close(norm(x), normed, rtol=0, atol=0)
    assert all(torch.equal(value, statistics[name]) for name, value in norm.state_dict().items())
    after = masks.lanes((5,), CPU)
    with masks.replay(following):
        assert torch.equal(masks.lanes((5,), CPU), after) and not torch.equal(after, lanes)


def test_an_error_inside_leaves_no_trace_either() -> None:
    masks, norm = MaskSource(0), nn.BatchNorm1d(4)
    place = masks.place()
    first = masks.lanes((5,), CPU)
    with pytest.raises(KeyError), recomputing(masks, place, [norm]):
        norm(torch.randn(8, 4))
        raise KeyError
    assert int(norm.state_dict()["num_batches_tracked"]) == 0
    assert not torch.equal(masks.lanes((5,), CPU), first)

import pytest
import torch
from torch import nn

from depthlab.ops import Buffers, MaskSource, recomputing

CPU = torch.device("cpu")


def test_a_recomputation_repeats_the_draws_and_leaves_no_trace() -> None:
    masks, norm = MaskSource(0), nn.BatchNorm1d(4)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    before, buffers = masks.state(), Buffers(nn.Sequential(norm, nn.Identity(), nn.LayerNorm(4)))
    bits, normed = masks.bits((5,), CPU), norm(x)
    statistics = {name: value.clone() for name, value in norm.state_dict().items()}
    following = masks.state()
    with recomputing(masks, before, buffers):
        assert norm.num_batches_tracked == 0 and not norm.running_mean.any()  # type: ignore[union-attr]
        assert torch.equal(masks.bits((5,), CPU), bits)
        torch.testing.assert_close(norm(x), normed, rtol=0, atol=0)
    assert all(torch.equal(value, statistics[name]) for name, value in norm.state_dict().items())
    after = masks.bits((5,), CPU)
    with masks.replay(following):
        assert torch.equal(masks.bits((5,), CPU), after) and not torch.equal(after, bits)


def test_an_error_inside_leaves_no_trace_either() -> None:
    masks, norm = MaskSource(0), nn.BatchNorm1d(4)
    before, buffers = masks.state(), Buffers(norm)
    first = masks.bits((5,), CPU)
    with pytest.raises(KeyError), recomputing(masks, before, buffers):
        norm(torch.randn(8, 4))
        raise KeyError
    assert int(norm.state_dict()["num_batches_tracked"]) == 0
    assert not torch.equal(masks.bits((5,), CPU), first)


def test_large_buffers_are_kept_only_if_they_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.ops.checkpointing.LARGE", 9)
    norms = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(3))
    buffers = Buffers(norms)
    norms[1](torch.randn(8, 4))
    norms[2].running_mean = torch.ones(4)  # replaced instead of written to
    large = [(owner, name) for owner, name, copy in buffers.drop_constants().saved if copy.dim()]
    assert large == [(norms[1], "running_mean"), (norms[1], "running_var"), (norms[2], "running_mean")]

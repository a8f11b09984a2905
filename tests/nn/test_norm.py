import pytest
import torch
from torch import Tensor

from depthlab.nn.norm import NORMS, make_norm

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * 3 + 2


def test_none_changes_nothing() -> None:
    norm = make_norm("none", 6)
    assert norm(X) is X and list(norm.parameters()) == []


def test_batch_norm_standardises_every_channel() -> None:
    norm = make_norm("batch", 6)
    out = norm(X)
    torch.testing.assert_close(out.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(6), atol=1e-4, rtol=0)
    assert not torch.equal(norm.eval()(X), out)


def test_layer_norm_standardises_every_node() -> None:
    out = make_norm("layer", 6)(X)
    torch.testing.assert_close(out.mean(1), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(1, unbiased=False), torch.ones(40), atol=1e-4, rtol=0)


def test_pair_norm_centres_and_fixes_the_mean_square_of_a_node() -> None:
    out = make_norm("pair", 6)(X)
    centred = X - X.mean(0)
    torch.testing.assert_close(out, centred / centred.square().sum(1).mean().sqrt())


def published_pair_norm(x: Tensor, epsilon: float) -> Tensor:
    """The formula of the authors' code, dense and in float64."""
    centred = x.double() - x.double().mean(0)
    return centred / (epsilon + centred.pow(2).sum(1).mean()).sqrt()


def test_pair_norm_of_collapsed_states_is_the_published_one() -> None:
    x = 1e-4 * torch.randn(40, 6, generator=torch.Generator().manual_seed(1)) + 0.01
    torch.testing.assert_close(make_norm("pair", 6)(x), published_pair_norm(x, 1e-6).float(), atol=1e-5, rtol=1e-4)
    assert float((make_norm("pair", 6)(x) - published_pair_norm(x, 1e-5)).abs().max()) > 0.1


@pytest.mark.parametrize("kind", NORMS)
def test_every_norm_keeps_the_shape_and_passes_a_gradient(kind: str) -> None:
    x = X.clone().requires_grad_()
    out = make_norm(kind, 6)(x)
    out.pow(3).sum().backward()
    assert out.shape == X.shape
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="none, batch, layer, pair, got group"):
        make_norm("group", 6)

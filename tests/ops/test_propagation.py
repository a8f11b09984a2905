import pytest
import torch
from torch import Tensor

from src.graph.adjacency import Adjacency, gcn_adjacency
from src.ops import propagate, propagation

N = 9
DIRECTED = pytest.mark.parametrize("directed", [False, True])


def operator(directed: bool) -> Adjacency:
    """Random, in float64, with node N-1 isolated."""
    edges = torch.randint(0, N - 1, (2, 20), generator=torch.Generator().manual_seed(1))
    adjacency = gcn_adjacency(edges if directed else torch.cat([edges, edges.flip(0)], 1), N)
    assert (adjacency.order is not None) == directed
    return adjacency.normalized(torch.ones(adjacency.row.numel(), dtype=torch.float64))


def states(seed: int, channels: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, channels, generator=generator, dtype=torch.float64).requires_grad_()


def assert_close(a: Tensor | None, b: Tensor | None) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("scale", [1.0, 2.5])
@DIRECTED
def test_equals_the_dense_product(directed: bool, scale: float, channels: int) -> None:
    p, x, weight = operator(directed), states(0, channels), states(2, channels).detach()
    out = propagate(p, x, scale=scale)
    (grad,) = torch.autograd.grad((out * weight).sum(), x)
    dense = p.matrix.to_dense()
    assert_close(out, scale * dense @ x)
    assert_close(grad, scale * dense.T @ weight)


@pytest.mark.parametrize("scale", [1.0, 2.5])
@DIRECTED
def test_equals_the_dense_product_plus_the_residual(directed: bool, scale: float) -> None:
    p, x, residual, weight = operator(directed), states(0), states(1), states(2).detach()
    out = propagate(p, x, scale=scale, residual=residual)
    grad_x, grad_residual = torch.autograd.grad((out * weight).sum(), (x, residual))
    dense = p.matrix.to_dense()
    assert_close(out, scale * dense @ x + residual)
    assert_close(grad_x, scale * dense.T @ weight)
    assert_close(grad_residual, weight)


@DIRECTED
def test_gradients_against_finite_differences(directed: bool) -> None:
    p = operator(directed)
    assert torch.autograd.gradcheck(lambda x, r: propagate(p, x, scale=1.5, residual=r), (states(0), states(1)))
    assert torch.autograd.gradcheck(lambda x: propagate(p, x, scale=1.5), (states(0),))


@DIRECTED
def test_one_tensor_as_state_and_residual_gets_both_gradients(directed: bool) -> None:
    p, x = operator(directed), states(0)
    propagate(p, x, residual=x).pow(2).sum().backward()
    full = p.matrix.to_dense() + torch.eye(N, dtype=torch.float64)
    assert_close(x.grad, 2 * full.T @ full @ x)


@DIRECTED
def test_layout_of_states_and_gradients_does_not_matter(directed: bool) -> None:
    p, x = operator(directed), states(0)
    column_major = x.detach().T.contiguous().T.requires_grad_()
    out = propagate(p, column_major, scale=2.0)
    out.sum().backward()  # the incoming gradient is one number, expanded
    dense = p.matrix.to_dense()
    assert_close(out, 2 * dense @ x)
    assert_close(column_major.grad, 2 * dense.T @ torch.ones_like(x))


@DIRECTED
def test_not_a_number_left_in_memory_never_leaks(directed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "empty_like", lambda x: torch.full_like(x, float("nan")))
    p, x = operator(directed), states(0)
    out = propagate(p, x)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert_close(out, p.matrix.to_dense() @ x)
    assert_close(grad, p.matrix.to_dense().T @ torch.ones_like(x))


def test_a_diverged_node_reaches_its_neighbours_only() -> None:
    p, x = operator(directed=False), states(0).detach()
    x[0] = float("nan")
    assert torch.equal(propagate(p, x).isnan().all(1), p.matrix.to_dense()[:, 0] != 0)


def test_inputs_are_left_alone() -> None:
    p, x, residual = operator(directed=False), states(0).detach(), states(1).detach()
    copies = x.clone(), residual.clone(), p.values.clone()
    propagate(p, x, scale=2.0, residual=residual)
    assert all(torch.equal(a, b) for a, b in zip((x, residual, p.values), copies, strict=True))


def test_no_product_for_an_input_that_needs_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[float] = []

    def counted(matrix: Tensor, x: Tensor, scale: float) -> Tensor:
        products.append(scale)
        return scale * matrix @ x

    monkeypatch.setattr(propagation, "product", counted)
    p, x, residual = operator(directed=False), states(0), states(1)
    propagate(p, x.detach(), residual=residual).sum().backward()
    assert x.grad is None and residual.grad is not None and products == []
    propagate(p, x, residual=residual.detach()).sum().backward()
    assert x.grad is not None and products == [1.0]
    assert not propagate(p, x.detach(), residual=residual.detach()).requires_grad

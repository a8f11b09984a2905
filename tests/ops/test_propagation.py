import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.ops import edge_scores, product, propagate, propagation

N = 9
DIRECTED = pytest.mark.parametrize("directed", [False, True])


def operator(directed: bool) -> Adjacency:
    """Random, in float64, with node N-1 isolated."""
    edges = torch.randint(0, N - 1, (2, 20), generator=torch.Generator().manual_seed(1))
    adjacency = gcn_adjacency(edges if directed else torch.cat([edges, edges.flip(0)], 1), N)
    assert adjacency.symmetric != directed
    return adjacency.normalized(torch.ones(adjacency.num_edges, dtype=torch.float64))


def asymmetric(p: Adjacency) -> Tensor:
    """Values for the entries of p, different in the two directions of an edge, that want a gradient."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(p.row.numel(), generator=generator, dtype=torch.float64).requires_grad_()


def dense_matrix(p: Adjacency, values: Tensor) -> Tensor:
    return torch.zeros(N, N, dtype=torch.float64).index_put((p.row, p.col), values)


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
    made: list[tuple[int, ...]] = []

    def full_of_nan(x: Tensor, *shape: int) -> Tensor:
        made.append(shape)
        return torch.full(shape, float("nan"), dtype=x.dtype)

    monkeypatch.setattr(Tensor, "new_empty", full_of_nan)
    p, x = operator(directed), states(0)
    out = propagate(p, x)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert_close(out, p.matrix.to_dense() @ x)
    assert_close(grad, p.matrix.to_dense().T @ torch.ones_like(x))
    assert made == [tuple(x.shape)] * 2


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_states_of_another_graph_are_refused(kind: torch.dtype) -> None:
    p = gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), 3)
    matrix = p.with_values(p.values.to(kind)).matrix
    for rows in (2, 4):
        with pytest.raises(ValueError, match=rf"^a matrix \(3, 3\) cannot be multiplied with states \({rows}, 2\)$"):
            product(matrix, torch.ones(rows, 2, dtype=kind))


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

    def counted(matrix: Tensor, x: Tensor, scale: float, residual: Tensor | None = None) -> Tensor:
        if residual is None:  # else it is the forward pass
            products.append(scale)
        return scale * matrix @ x + (0 if residual is None else residual)

    monkeypatch.setattr(propagation, "product", counted)
    p, x, residual = operator(directed=False), states(0), states(1)
    propagate(p, x.detach(), residual=residual).sum().backward()
    assert x.grad is None and residual.grad is not None and products == []
    propagate(p, x, residual=residual.detach()).sum().backward()
    assert x.grad is not None and products == [1.0]
    assert not propagate(p, x.detach(), residual=residual.detach()).requires_grad
    values = asymmetric(p)
    propagate(p.with_values(values), x.detach(), residual=residual.detach()).sum().backward()
    assert values.grad is not None and products == [1.0]


@pytest.mark.parametrize("scale", [1.0, 2.5])
@DIRECTED
def test_learned_values_get_the_dense_gradient(directed: bool, scale: float) -> None:
    p, x, residual, weight = operator(directed), states(0), states(1), states(2).detach()
    values = asymmetric(p)
    out = propagate(p.with_values(values), x, scale=scale, residual=residual)
    expected = scale * dense_matrix(p, values) @ x + residual
    assert_close(out, expected)
    inputs = (values, x, residual)
    ours, theirs = (torch.autograd.grad((y * weight).sum(), inputs) for y in (out, expected))
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other)


@DIRECTED
def test_gradients_of_learned_values_against_finite_differences(directed: bool) -> None:
    p = operator(directed)
    inputs = asymmetric(p), states(0), states(1)
    assert torch.autograd.gradcheck(lambda v, x, r: propagate(p.with_values(v), x, scale=1.5, residual=r), inputs)
    assert torch.autograd.gradcheck(lambda v, x: propagate(p.with_values(v), x), inputs[:2])


@DIRECTED
def test_constant_values_in_both_directions_give_the_transposed_gradient(directed: bool) -> None:
    p, x, weight = operator(directed), states(0), states(2).detach()
    values = asymmetric(p).detach()
    out = propagate(p.with_values(values), x)
    dense = dense_matrix(p, values)
    assert_close(out, dense @ x)
    assert_close(torch.autograd.grad((out * weight).sum(), x)[0], dense.T @ weight)
    assert not propagate(p.with_values(values), x.detach()).requires_grad


@DIRECTED
def test_layout_of_states_does_not_matter_to_learned_values(directed: bool) -> None:
    p, x = operator(directed), states(0).detach()
    values = asymmetric(p)
    column_major = x.T.contiguous().T
    propagate(p.with_values(values), column_major, scale=2.0).sum().backward()
    assert_close(values.grad, 2 * x.sum(1)[p.col])


@pytest.mark.parametrize("channels", [1, 4])
@DIRECTED
def test_scores_of_the_entries_equal_the_dense_products(directed: bool, channels: int) -> None:
    p, a, b = operator(directed), states(0, channels), states(1, channels)
    scores, expected = edge_scores(p.matrix, p.transpose, p.order, a, b), (a @ b.T)[p.row, p.col]
    assert_close(scores, expected)
    weight = asymmetric(p).detach()
    ours, theirs = (torch.autograd.grad(y @ weight, (a, b)) for y in (scores, expected))
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other)


@DIRECTED
def test_gradients_of_the_scores_against_finite_differences(directed: bool) -> None:
    p = operator(directed)
    parts = p.matrix, p.transpose, p.order
    assert torch.autograd.gradcheck(lambda a, b: edge_scores(*parts, a, b), (states(0), states(1)))
    assert torch.autograd.gradcheck(lambda a: edge_scores(*parts, a, a), (states(0),))


@DIRECTED
def test_layout_of_the_incoming_gradient_does_not_matter_to_the_scores(directed: bool) -> None:
    p, a, b = operator(directed), states(0), states(1)
    scores = edge_scores(p.matrix, p.transpose, p.order, a, b)
    ones = dense_matrix(p, torch.ones_like(p.values))
    for scale in (torch.ones(()), torch.ones(p.row.numel(), 2)[:, 0]):  # expanded, and with gaps
        of_a, of_b = torch.autograd.grad(scores, (a, b), scale.double().expand_as(scores), retain_graph=True)
        assert_close(of_a, ones @ b)
        assert_close(of_b, ones.T @ a)


@DIRECTED
def test_the_values_do_not_matter_to_the_scores(directed: bool) -> None:
    p, a, b = operator(directed), states(0), states(1)
    other = p.with_values(1e6 * asymmetric(p).detach())
    scores = edge_scores(other.matrix, other.transpose, other.order, a, b)
    assert_close(scores, (a @ b.T)[p.row, p.col])


@pytest.mark.parametrize("channels", [1, 3, 16, 64, 100])
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("layout", ["rows", "columns", "part"])
@pytest.mark.parametrize("at_once", [propagation.AT_ONCE, 1, 640])
def test_float32_equals_float64(
    channels: int, scale: float, layout: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made by different kernels. Rows of the matrix are empty, the first and the last too."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(31, 47, generator=generator) * (torch.rand(31, 47, generator=generator) < 0.1)
    matrix[[0, 7, 30]] = 0.0
    whole = torch.randn(47, channels + 3, generator=generator)
    x = {"rows": whole[:, 3:].contiguous(), "columns": whole[:, 3:].T.contiguous().T, "part": whole[:, 3:]}[layout]
    residual = torch.randn(31, channels, generator=generator)
    csr, before = matrix.to_sparse_csr(), (x.clone(), residual.clone())
    small = torch.sparse_csr_tensor(csr.crow_indices().int(), csr.col_indices().int(), csr.values(), csr.shape)
    expected = scale * matrix.double() @ x.double()
    by_few = product(csr, x, scale), product(small, x, scale)
    monkeypatch.setattr(propagation, "FEW", 0)
    monkeypatch.setattr(propagation, "AT_ONCE", at_once)
    for found in (*by_few, product(csr, x, scale), product(small, x, scale)):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    added, buffer = product(small, x, scale, residual), torch.full((31, channels), float("nan"))
    found = product(small, x, scale, buffer=buffer)
    assert (found is buffer) == (max(1, at_once // channels) < 31), "in parts it is written to the buffer"
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(product(small, x, scale, residual, buffer), added)
    torch.testing.assert_close(added.double(), expected + residual.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before[0]) and torch.equal(residual, before[1])


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_state_that_overflowed_shows_in_float32_as_in_float64(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "FEW", 0)
    p = gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), 3)
    for kind in (torch.float32, torch.float64):
        x = torch.ones(3, 4, dtype=kind)
        x[0, 0] = bad
        out = product(p.with_values(p.values.to(kind)).matrix, x)
        assert not out[:2, 0].isfinite().any() and out[2].isfinite().all() and out[:, 1:].isfinite().all()

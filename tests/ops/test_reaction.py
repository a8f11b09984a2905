import pytest
import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.ops import reaction

N, CHANNELS = 9, 4
DIRECTED = pytest.mark.parametrize("directed", [False, True])
WELL = pytest.mark.parametrize("well", [False, True])


def numbers(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def pattern(directed: bool) -> Adjacency:
    """Random, with node N-1 isolated."""
    edges = torch.randint(0, N - 1, (2, 20), generator=torch.Generator().manual_seed(1))
    return gcn_adjacency(edges if directed else torch.cat([edges, edges.flip(0)], 1), N)


def inputs(adjacency: Adjacency, well: bool) -> tuple[Tensor, ...]:
    """Values of L, x, alpha and, with the well, delta."""
    found = numbers(0, adjacency.row.numel()), numbers(1, N, CHANNELS), numbers(2, CHANNELS), numbers(3, CHANNELS)
    return found if well else found[:3]


def dense(adjacency: Adjacency, values: Tensor, x: Tensor, alpha: Tensor, delta: Tensor | None = None) -> Tensor:
    matrix = torch.zeros(N, N, dtype=torch.float64).index_put((adjacency.row, adjacency.col), values)
    force = alpha * (matrix @ x)
    return force if delta is None else force + delta * x * (1 - x**2)


def ours(adjacency: Adjacency, values: Tensor, x: Tensor, alpha: Tensor, delta: Tensor | None = None) -> Tensor:
    return reaction(adjacency.with_values(values), x, alpha, delta)


@WELL
@DIRECTED
def test_equals_the_dense_equation_and_its_gradients(directed: bool, well: bool) -> None:
    adjacency, weight = pattern(directed), numbers(4, N, CHANNELS).detach()
    given = inputs(adjacency, well)
    out, expected = (equation(adjacency, *given) for equation in (ours, dense))
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    found, wanted = (torch.autograd.grad((y * weight).sum(), given) for y in (out, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@WELL
@DIRECTED
def test_gradients_against_finite_differences(directed: bool, well: bool) -> None:
    adjacency = pattern(directed)
    assert torch.autograd.gradcheck(lambda *given: ours(adjacency, *given), inputs(adjacency, well))


@WELL
@DIRECTED
def test_constant_values_leave_the_other_gradients_as_they_are(directed: bool, well: bool) -> None:
    adjacency = pattern(directed)
    values, *others = inputs(adjacency, well)
    fixed = torch.autograd.grad(ours(adjacency, values.detach(), *others).sum(), others)
    learned = torch.autograd.grad(ours(adjacency, values, *others).sum(), others)
    torch.testing.assert_close(fixed, learned)


@WELL
def test_layout_of_states_does_not_matter(well: bool) -> None:
    adjacency = pattern(True)
    values, x, *rates = inputs(adjacency, well)
    column_major = x.detach().T.contiguous().T.requires_grad_()
    found, wanted = (ours(adjacency, values, state, *rates) for state in (column_major, x))
    torch.testing.assert_close(found, wanted)
    ours_of_x, of_x = (torch.autograd.grad(y.sum(), state)[0] for y, state in ((found, column_major), (wanted, x)))
    torch.testing.assert_close(ours_of_x, of_x)


@WELL
def test_inputs_are_left_alone(well: bool) -> None:
    adjacency = pattern(False)
    given = inputs(adjacency, well)
    copies = [tensor.detach().clone() for tensor in given]
    ours(adjacency, *given).sum().backward()
    assert all(torch.equal(now, before) for now, before in zip(given, copies, strict=True))


def test_the_well_alone_rests_at_zero_and_at_its_two_bottoms() -> None:
    adjacency = pattern(False)
    nothing = adjacency.with_values(torch.zeros(adjacency.row.numel(), dtype=torch.float64))
    x = torch.tensor([-1.0, 0.0, 1.0, 0.5]).double().expand(N, 4).contiguous()
    out = reaction(nothing, x, torch.ones(4).double(), torch.full((4,), 2.0).double())
    assert out[0].tolist() == [0, 0, 0, 0.75]

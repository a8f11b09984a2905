"""The solvers with fixed steps, the operator that they integrate, and torchdiffeq's messages for a stuck solver."""

import math

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from depthlab.graph.graph import Graph
from depthlab.nn.equation import Equation, euler, generator, rk4, stuck


class Calls:
    calls = 0


def equation(graph: Graph) -> Equation:
    """dx/dt = L x with the weights of P."""
    operator = generator(graph.adjacency.values.masked_fill(graph.adjacency.loops, 0), graph.adjacency)

    def velocity(x: Tensor) -> Tensor:
        return operator.propagate(x)

    return Equation(Calls(), operator, velocity, ())


def test_the_generator_attracts_each_node_to_its_neighbours(graph: Graph) -> None:
    made = equation(graph)
    dense, p = made.operator.matrix.to_dense(), graph.adjacency.matrix.to_dense()
    torch.testing.assert_close(dense.sum(1), torch.zeros_like(dense[0]), rtol=0, atol=1e-12)
    off = ~torch.eye(len(p), dtype=torch.bool)
    torch.testing.assert_close(dense[off], p[off])


def test_rk4_agrees_with_torchdiffeq_and_euler_is_one_evaluation(graph: Graph) -> None:
    made, x = equation(graph), torch.as_tensor(graph.x)
    expected = odeint(made, x, x.new_tensor([0.0, 0.3]), method="rk4")[-1]
    made.flow.calls = 0
    torch.testing.assert_close(rk4(made, x, 0.3), expected)
    assert made.flow.calls == 4
    torch.testing.assert_close(euler(made, x, 0.3), x + 0.3 * made(0, x))
    assert made.at(7) is made


@pytest.mark.parametrize(("words", "is_stuck"), [("underflow in dt 0.0", True), ("non-finite values in state", True),
                                                 ("another assertion", False)])  # fmt: skip
def test_a_stuck_solver_is_recognised_by_its_message(words: str, is_stuck: bool) -> None:
    assert stuck(AssertionError(words)) == is_stuck


def test_torchdiffeq_still_uses_these_messages() -> None:
    with pytest.raises(AssertionError) as error:
        odeint(lambda t, x: x * math.inf, torch.ones(1), torch.tensor([0.0, 1.0]), method="dopri5")
    assert stuck(error.value)

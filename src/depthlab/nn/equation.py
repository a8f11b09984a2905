"""The differential equation of a flow, and its solvers with fixed steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency

Velocity = Callable[[Tensor], Tensor]
CANNOT_PROCEED = ("underflow in dt", "non-finite values in state", "max_num_steps exceeded")  # messages of torchdiffeq


class Counter(Protocol):
    """Count the evaluations of an equation."""

    calls: int


@dataclass(frozen=True)
class Equation:
    """The equation dx/dt = v(x), fixed at t = 0; the layers of a flow use it as their graph.

    Attributes:
        flow: counts the evaluations.
        operator: L.
        velocity: v.
        learned: tensors of the equation that need gradients.
    """

    flow: Counter
    operator: Adjacency
    velocity: Velocity
    learned: tuple[Tensor, ...]

    def at(self, layer: int) -> "Equation":
        """All layers share one equation."""
        return self

    def __call__(self, _: Any, x: Tensor) -> Tensor:
        self.flow.calls += 1
        return self.velocity(x)


def euler(equation: Equation, x: Tensor, step: float) -> Tensor:
    """One step of Euler's method."""
    return torch.add(x, equation(0, x), alpha=step)


def rk4(equation: Equation, x: Tensor, step: float) -> Tensor:
    """One step of the 3/8 rule of Kutta (1901), which torchdiffeq calls rk4, in fewer passes over memory."""
    k1 = equation(0, x)
    k2 = equation(0, torch.add(x, k1, alpha=step / 3))
    k3 = equation(0, torch.add(x, torch.add(k2, k1, alpha=-1 / 3), alpha=step))
    k4 = equation(0, torch.add(x, k1 - k2 + k3, alpha=step))
    return torch.add(x, torch.add(k1 + k4, k2 + k3, alpha=3), alpha=step / 8)


def generator(weights: Tensor, adjacency: Adjacency) -> Adjacency:
    r"""L with :math:`(L x)_i = \sum_{j \ne i} w_{ij} (x_j - x_i)`: the weights, minus their row sums on the diagonal.

    Args:
        weights: w for every stored entry, 0 on self-loops; shape (entries,).
        adjacency: the sparsity pattern.
    """
    return adjacency.with_values(torch.where(adjacency.loops, -adjacency.row_sums(weights)[adjacency.row], weights))


def stuck(error: AssertionError) -> bool:
    """Whether torchdiffeq reports that its solver cannot proceed, in the forward or the adjoint pass."""
    return str(error).startswith(CANNOT_PROCEED)

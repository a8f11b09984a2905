"""Whether a fixed step of an explicit method holds an equation on a given graph, said before the first step."""

import torch
from torch import Tensor

from src.errors import UserError
from src.graph.adjacency import Adjacency

REACH = {"euler": 2.0, "rk4": 2.785}  # rate * step up to which an explicit method lets a decaying mode decay
OVERFLOW = 80.0  # e^88 is the largest float32


def gershgorin(operator: Adjacency) -> tuple[Tensor, Tensor]:
    r"""How fast, at most, modes of dx/dt = L x decay and grow: two rates >= 0 per node, shape (n,) each.

    By Gershgorin's theorem every eigenvalue of L has a real part between :math:`L_{ii} - R_i` and
    :math:`L_{ii} + R_i` for some node i, :math:`R_i = \sum_{j \ne i} |L_{ij}|`.
    """
    loops = operator.loops
    diagonal = operator.values[loops]
    radius = operator.row_sums(operator.values.abs().masked_fill(loops, 0))
    return (radius - diagonal).clamp_min(0), (radius + diagonal).clamp_min(0)


def fastest_rates(operator: Adjacency, x0: Tensor, alpha: float, delta: float) -> Tensor:
    r"""How fast, at most, a state of :math:`dx/dt = \alpha L x + \delta x (1 - x^2)` changes at each node, shape (n,).

    With :math:`a_i` and :math:`g_i` alpha times the bounds of `gershgorin`: growth is held where
    :math:`x^2 = 1 + g_i / \delta`, and a state may begin further out. At amplitude X the slope of the well is
    :math:`\delta (3 X^2 - 1)`, on top of :math:`a_i`. Without a well (delta 0) :math:`a_i` alone.
    """
    decay, growth = (alpha * bound for bound in gershgorin(operator))
    if delta == 0:
        return decay
    amplitude = torch.maximum(1 + growth / delta, x0.abs().amax(1) ** 2)
    return decay + delta * (3 * amplitude - 1)


def refuse_overflow(
    operator: Adjacency,
    x0: Tensor,
    rates: tuple[float, float],
    solver: str,
    step_size: float,
    time: float,
    milder: str,
) -> None:
    """Refuse a fixed step that overflows, and growth that nothing holds.

    Args:
        operator: L, frozen at t = 0.
        x0: initial states, (n, f).
        rates: alpha, and delta or 0.
        solver: a key of `REACH`.
        step_size, time: of one step and of all.
        milder: what else than a shorter step would do, in words.

    Raises:
        UserError: the step, times the fastest rate, is beyond the method's reach; or, without a well, states grow
            beyond the largest number within the time.
    """
    alpha, delta = rates
    rate = fastest_rates(operator, x0, alpha, delta)
    node = int(rate.argmax())
    fastest = float(rate[node])
    run_anyway = "model.stability_check=off runs it all the same"
    if step_size * fastest > REACH[solver]:
        neighbours = int(operator.neighbours[operator.row == node].sum())
        raise UserError(
            f"{solver} with model.step_size={step_size:g} overflows on this graph: node {node} with "
            f"{neighbours} neighbours changes at a rate of up to {fastest:.3g} per unit of time; use "
            f"model.step_size={_round_down(REACH[solver] / fastest)} or less{milder}; {run_anyway}"
        )
    strongest = alpha * float(gershgorin(operator)[1].max())
    if delta == 0 and strongest * time > OVERFLOW:
        raise UserError(
            f"without the well repulsion grows like exp({strongest:.3g} t) and overflows before t={time:g}: "
            f"use model.well=on, or less depth or repulsion; {run_anyway}"
        )


def _round_down(value: float) -> str:
    """Two significant digits, not more than the value."""
    text = f"{value:.2g}"
    return text if float(text) <= value else f"{float(text) * 0.95:.2g}"

"""Refuse equations that may overflow on a given graph, before training."""

import torch
from torch import Tensor

from depthlab.nn.network import Adjacency, UserError

REACH = {"euler": 2.0, "rk4": 2.785}  # rate * step up to which an explicit method lets a decaying mode decay
OVERFLOW = 80.0  # e^88 is the largest float32
ANYWAY = "model.stability_check=off runs it all the same"


def gershgorin(operator: Adjacency) -> tuple[Tensor, Tensor]:
    r"""How fast, at most, modes of dx/dt = L x decay and grow: two rates >= 0 per node, shape (n,) each.

    By Gershgorin's theorem every eigenvalue of L has a real part between :math:`L_{ii} - R_i` and
    :math:`L_{ii} + R_i` for some node i, :math:`R_i = \sum_{j \ne i} |L_{ij}|`. The same holds of the transpose, with
    :math:`\sum_{j \ne i} |L_{ji}|`: the narrower of the two is taken.
    """
    loops = operator.loops
    diagonal = operator.values[loops]
    off_diagonal = operator.values.abs().masked_fill(loops, 0)
    columns = off_diagonal.new_zeros(operator.num_nodes).index_add(0, operator.col, off_diagonal)
    bounds = [(radius - diagonal, radius + diagonal) for radius in (operator.row_sums(off_diagonal), columns)]
    decay, growth = min(bounds, key=lambda bound: float(torch.cat(bound).max()))
    return decay.clamp_min(0), growth.clamp_min(0)


def fastest_rate(decay: Tensor, growth: Tensor, start: float, delta: float) -> float:
    r"""How fast, at most, a state of :math:`dx/dt = L x + \delta x (1 - x^2)` changes at any node.

    Growth g is held where :math:`x^2 = 1 + \max g / \delta`, and a state may begin further out. At amplitude X the
    slope of the well is :math:`\delta (3 X^2 - 1)`, on top of the decay. Without a well (delta 0) the decay alone.

    Args:
        decay, growth: bounds of L per node, shape (n,).
        start: the largest :math:`|x|` of the initial states.
        delta: strength of the well.
    """
    fastest = float(decay.max())
    if delta == 0:
        return fastest
    amplitude = max(1 + float(growth.max()) / delta, start**2)
    return fastest + delta * (3 * amplitude - 1)


def refuse_step(
    decay: Tensor,
    growth: Tensor,
    start: float,
    delta: float,
    solver: str,
    step_size: float,
    adjacency: Adjacency,
    milder: str,
) -> None:
    """Refuse a fixed step outside the solver's stability region at the fastest rate at the start of training.

    Args:
        decay, growth, start, delta: as in `fastest_rate`.
        solver: a key of `REACH`.
        step_size: h.
        adjacency: the graph, to name the fastest node and its degree.
        milder: an alternative to a shorter step, in words.

    Raises:
        UserError: the step is too long.
    """
    node, fastest = int((decay + growth).argmax()), fastest_rate(decay, growth, start, delta)
    if step_size * fastest > REACH[solver]:
        raise UserError(
            f"{solver} with model.step_size={step_size:g} may overflow on this graph: states change at a "
            f"rate of up to {fastest:.3g} per unit of time, most at node {node} with {int(adjacency.degree[node])} "
            f"neighbours; use model.step_size={round_down(REACH[solver] / fastest)} or less (more depth for the same "
            f"time){milder}; this holds for the weights at the start, training may enlarge the states; {ANYWAY}"
        )


def refuse_growth(growth: Tensor, time: float) -> None:
    """Refuse unbounded growth that overflows within the time.

    Raises:
        UserError: it overflows.
    """
    strongest = float(growth.max())
    if strongest * time > OVERFLOW:
        raise UserError(
            f"without the well repulsion grows like exp({strongest:.3g} t) and may overflow before t={time:g}: "
            f"use model.well=on, or less depth or repulsion; {ANYWAY}"
        )


def round_down(value: float) -> str:
    """Two significant digits, not more than the value."""
    text = f"{value:.2g}"
    return text if float(text) <= value else f"{float(text) * 0.95:.2g}"

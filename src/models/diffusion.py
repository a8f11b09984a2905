"""Attraction alone: the heat equation on the graph."""

import torch
from torch import Tensor

from src.graph.adjacency import Adjacency
from src.models.attention import DotAttention
from src.models.base import Settings
from src.models.flow import Flow, Velocity
from src.ops import propagate


class Diffusion(Flow):
    r"""GRAND-l (Chamberlain et al. 2021, https://arxiv.org/abs/2106.10934): neighbours attract, all states meet.

    .. math:: \frac{dx_i}{dt} = \sum_{j} a_{ij} x_j - x_i

    with a constant in time: the normalised adjacency P of the GCN, or attention over the neighbours at t = 0. States,
    solver and shapes as in `Flow`.

    Args:
        settings: what every architecture is told.
        weights: `gcn` or `attention`.
        heads: of the attention.
        solver, step_size, rtol, atol, adjoint, stability_check: see `Flow`.
    """

    def __init__(
        self,
        settings: Settings,
        weights: str = "gcn",
        heads: int = 4,
        solver: str = "rk4",
        step_size: float = 0.25,
        rtol: float = 1e-3,
        atol: float = 1e-5,
        adjoint: bool = False,
        stability_check: str = "on",
    ) -> None:
        super().__init__(settings, solver, step_size, rtol, atol, adjoint, stability_check)
        self.attention = DotAttention(settings.hidden, heads) if weights == "attention" else None

    def freeze(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        """L = P - I, or A - I with A from attention; a node without neighbours rests under attention."""
        if self.attention is None:
            return adjacency.with_values(adjacency.values - adjacency.loops.to(x0.dtype))
        return generator(self.attention(x0, adjacency), adjacency)

    def velocity(self, operator: Adjacency) -> Velocity:
        """x -> L x."""
        return (lambda x: propagate(operator, x)), learned_of(operator)


def learned_of(operator: Adjacency) -> tuple[Tensor, ...]:
    """The operator's values, if they are learned."""
    return () if operator.learned is None else (operator.learned,)


def generator(weights: Tensor, adjacency: Adjacency) -> Adjacency:
    r"""L with :math:`(L x)_i = \sum_{j \ne i} w_{ij} (x_j - x_i)`: the weights, minus their row sums on the diagonal.

    Args:
        weights: w for every stored entry, 0 on self-loops; shape (entries,).
        adjacency: has the pattern.
    """
    return adjacency.weighted(torch.where(adjacency.loops, -adjacency.row_sums(weights)[adjacency.row], weights))

"""Attraction alone: the heat equation on the graph."""

import torch
from torch import Tensor

from depthlab.nn.equation import Velocity, generator
from depthlab.nn.flow import Flow
from depthlab.nn.network import Adjacency


class Diffusion(Flow):
    r"""GRAND-l (Chamberlain et al. 2021, https://arxiv.org/abs/2106.10934): neighbours attract and become alike.

    .. math:: \frac{dx_i}{dt} = \sum_{j} a_{ij} x_j - x_i

    with a constant in time: the normalised adjacency P of the GCN (all states of a component tend to one direction,
    with the factor :math:`\sqrt{1 + d_i}`), or attention over the neighbours at t = 0 (all tend to one state). A node
    without neighbours rests. Arguments, states and shapes as in `Flow`.
    """

    def freeze(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        """L = P - I, or A - I with A from attention."""
        if self.attention is None:
            return adjacency.with_values(adjacency.values - adjacency.loops.to(x0.dtype))
        return generator(self.attention(x0, adjacency), adjacency)

    def velocity(self, operator: Adjacency) -> tuple[Velocity, tuple[Tensor, ...]]:
        """x -> L x."""
        return operator.propagate, ()

    def bounds(self, operator: Adjacency) -> tuple[Tensor, Tensor]:
        """Of P - I, similar to a random walk's: modes decay at most at twice what a node gives away, none grows."""
        if self.attention is not None:
            return super().bounds(operator)
        decay = -2 * operator.values[operator.loops]
        return decay, torch.zeros_like(decay)

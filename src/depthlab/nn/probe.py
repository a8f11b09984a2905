"""A small graph and random weights, to find out what an architecture supports."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor

from depthlab.nn.network import Network, State

NODES = 12
# what a layer may raise if it is run in a way that it was not written for
ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def ring() -> Tensor:
    """Both directions of the edges of a ring of `NODES` nodes, sorted by row, (2, 2 * NODES)."""
    node = torch.arange(NODES)
    edges = torch.stack([node.repeat(2), torch.cat([node.roll(1), node.roll(-1)])])
    return edges[:, (edges[0] * NODES + edges[1]).argsort()]


def randomized(network: Network, seed: int) -> Network:
    """A copy on the CPU with random parameters and buffers, so that no gate is closed and no part vanishes.

    Matrices are normal with variance 1 / rows. Vectors, scalars and all buffers are uniform in [0.5, 1.5]: they may be
    scales, variances or rates, which have to be positive.

    Args:
        seed: of the parameters; buffers are constants of an architecture and do not depend on it.
    """
    network = copy.deepcopy(network).cpu()
    draws, constants = (torch.Generator().manual_seed(number) for number in (seed + 1, 0))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() < 2:
                parameter.uniform_(0.5, 1.5, generator=draws)
            else:
                parameter.normal_(generator=draws).mul_(parameter.shape[-2] ** -0.5)
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5, generator=constants)
    return network


def random_state(state: State, seed: int) -> State:
    """Normal tensors of the shapes of a state."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(entry.shape, generator=generator, dtype=entry.dtype) for entry in state)


def same(actual: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether tensors agree up to rounding; NaN does not agree with anything."""
    return all(
        a.shape == b.shape and bool((a - b).abs().max() <= 1e-3 * b.abs().max())
        for a, b in zip(actual, expected, strict=True)
    )

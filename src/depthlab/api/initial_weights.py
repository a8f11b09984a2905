"""Detect an untrained network by its weights."""

import math
from collections.abc import Iterator

from torch import nn

ENTRIES = 32  # minimum number of entries of a matrix whose range can be estimated
FAR = 12  # the maximum is below 1 - FAR / entries times the bound with probability exp(-FAR)


def has_initial_weights(network: nn.Module) -> bool | None:
    r"""Whether every weight matrix of a network still fills the range of its initialiser.

    The usual initialisers draw from the uniform distribution on :math:`[-b, b]` with :math:`b = \sqrt{6 / (f_{in} +
    f_{out})}` (Glorot & Bengio 2010, PyG's layers) or :math:`b = 1 / \sqrt{f_{in}}` (`torch.nn.Linear`). The
    largest of n draws is at least (1 - 12 / n) b, except with probability 1 in 160,000. A training step moves it, so
    weights whose maximum is still close to b in every matrix are untrained.

    Returns:
        None if no matrix has 32 entries.
    """
    matrices = [p for p in network.parameters() if p.dim() > 1 and p.numel() >= ENTRIES]
    if not matrices:
        return None
    for matrix in matrices:
        largest, room = float(matrix.detach().abs().max()), FAR / matrix.numel()
        if not any(bound * (1 - room) <= largest <= bound * (1 + 1e-5) for bound in _bounds(*matrix.shape[-2:])):
            return False
    return True


def _bounds(rows: int, columns: int) -> Iterator[float]:
    yield math.sqrt(6 / (rows + columns))
    for fan in (rows, columns):
        yield from (1 / math.sqrt(fan), math.sqrt(3 / fan), math.sqrt(6 / fan))

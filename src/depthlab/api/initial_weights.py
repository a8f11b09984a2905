"""Tell an untrained network from a trained one by its weights."""

import math
from collections.abc import Iterator

from torch import nn

ENTRIES = 32  # of a matrix at least, so that its range can be told
FAR = 12  # a maximum that is lower by a larger share than FAR / entries has a probability of exp(-FAR)


def has_initial_weights(network: nn.Module) -> bool | None:
    r"""Whether every weight matrix of a network still fills the range from which it was drawn.

    The usual initialisers draw from the uniform distribution on :math:`[-b, b]` with :math:`b = \sqrt{6 / (f_{in} +
    f_{out})}` (Glorot & Bengio 2010, PyG's layers) or :math:`b = 1 / \sqrt{f_{in}}` (`torch.nn.Linear`). Of n draws the
    largest lies within a share of 12 / n below b, but for one network in 160,000. A step of training moves it: weights
    that still end at b in every matrix were hardly trained.

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

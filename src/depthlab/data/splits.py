"""Random splits, each from its own seed."""

import torch
from torch import Tensor

from depthlab.config.errors import UserError


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_split(
    y: Tensor, seed: int, per_class: int = 20, num_val: int = 500, num_test: int = 1000
) -> tuple[Tensor, Tensor, Tensor]:
    """A random split in the style of Planetoid: `per_class` training nodes per class, then validation, then test nodes.

    Args:
        y: classes (n,); nodes with -1 are left out.
        seed: seed of the split only.

    Returns:
        Node indices of the three parts, disjoint and sorted.

    Raises:
        UserError: a class or the graph has too few nodes, or there are no classes.
    """
    if y.is_floating_point():
        raise UserError("split=random draws nodes of every class, and these targets are numbers: use a fixed split")
    order = torch.randperm(y.numel(), generator=_generator(seed))
    order = order[y[order] >= 0]
    train = []
    for label in range(int(y.max()) + 1):
        members = order[y[order] == label]
        if members.numel() <= per_class:
            raise UserError(f"split=random needs more than {per_class} nodes in every class: use a fixed split")
        train.append(members[:per_class])
    chosen = torch.cat(train)
    rest = order[~torch.isin(order, chosen)]
    if rest.numel() < num_val + num_test:
        raise UserError(f"split=random needs {num_val + num_test} nodes beyond the training nodes: use a fixed split")
    parts = chosen, rest[:num_val], rest[num_val : num_val + num_test]
    return tuple(part.sort().values for part in parts)  # type: ignore[return-value]


def fraction_masks(y: Tensor, count: int, train: float, val: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """`count` splits, stratified by class: fractions `train` and `val` of each class, the rest test.

    Returns:
        Three bool masks of shape (count, n).
    """
    masks = torch.zeros(3, count, y.numel(), dtype=torch.bool)
    for split in range(count):
        order = torch.randperm(y.numel(), generator=_generator(seed * 1_000_003 + split))
        for label in range(int(y.max()) + 1):
            members = order[y[order] == label]
            first, second = round(train * members.numel()), round((train + val) * members.numel())
            for part, nodes in enumerate((members[:first], members[first:second], members[second:])):
                masks[part, split, nodes] = True
    return masks[0], masks[1], masks[2]

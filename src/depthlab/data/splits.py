"""Random splits, each from its own seed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.sizes import PLANETOID, Sizes, is_fractions


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_split(y: Tensor, seed: int, sizes: Sizes = PLANETOID) -> tuple[Tensor, Tensor, Tensor]:
    """A random split.

    Args:
        y: classes (n,), -1 for none, or numbers, NaN for none; nodes without a target are left out.
        seed: seed of the split only.
        sizes: training, validation and test size. Either fractions of every class (of all nodes for a regression), such
            as (0.6, 0.2, 0.2); or, as for Planetoid, training nodes per class and total numbers of validation and test
            nodes, such as (20, 500, 1000).

    Returns:
        Node indices of the three parts, disjoint and sorted.

    Raises:
        UserError: a class or the graph has too few nodes, or numbers are asked for per class.
    """
    if is_fractions(sizes):
        masks = fraction_masks(y, 1, sizes[0], sizes[1], seed, sizes[2])
        return tuple(mask[0].nonzero().view(-1) for mask in masks)  # type: ignore[return-value]
    if y.is_floating_point():
        raise UserError(
            "split=random draws nodes of every class, and these targets are numbers: use a fixed split, or for a graph"
            " of your own fractions, such as dataset.random_split=[0.6,0.2,0.2], in to_dataset sizes=(0.6, 0.2, 0.2)"
        )
    per_class, num_val, num_test = map(int, sizes)
    instead = "use a fixed split, or for a graph of your own other sizes in dataset.random_split, in to_dataset sizes"
    order = torch.randperm(y.numel(), generator=_generator(seed))
    order = order[y[order] >= 0]
    train = []
    for label in range(int(y.max()) + 1):
        members = order[y[order] == label]
        if members.numel() <= per_class:
            raise UserError(f"split=random needs more than {per_class} nodes in every class: {instead}")
        train.append(members[:per_class])
    chosen = torch.cat(train)
    rest = order[~torch.isin(order, chosen)]
    if rest.numel() < num_val + num_test:
        raise UserError(f"split=random needs {num_val + num_test} nodes beyond the training nodes: {instead}")
    parts = chosen, rest[:num_val], rest[num_val : num_val + num_test]
    return tuple(part.sort().values for part in parts)  # type: ignore[return-value]


def fraction_masks(
    y: Tensor, count: int, train: float, val: float, seed: int, test: float | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`count` splits, stratified by class: fractions `train` and `val` of each class, `test` or else the rest test.

    Returns:
        Three bool masks of shape (count, n).
    """
    masks = torch.zeros(3, count, y.numel(), dtype=torch.bool)
    for split in range(count):
        order = torch.randperm(y.numel(), generator=_generator(seed * 1_000_003 + split))
        for members in _groups(y, order):
            size = members.numel()
            first, second = round(train * size), round((train + val) * size)
            last = size if test is None else round((train + val + test) * size)
            for part, nodes in enumerate((members[:first], members[first:second], members[second:last])):
                masks[part, split, nodes] = True
    return masks[0], masks[1], masks[2]


def _groups(y: Tensor, order: Tensor) -> Iterator[Tensor]:
    """The nodes of each class, or all nodes for a regression, in this order, without unlabelled nodes."""
    if y.is_floating_point():
        yield order[~y[order].isnan()]
        return
    for label in range(int(y.max()) + 1):
        yield order[y[order] == label]

"""Part sizes of random splits. Importing this module is fast."""

from collections.abc import Sequence

Sizes = Sequence[float]
PLANETOID = (20, 500, 1000)
FRACTIONS = (0.6, 0.2, 0.2)
FORM = "fractions such as [0.6,0.2,0.2], or nodes such as [20,500,1000]: training nodes per class, validation, test"


def is_fractions(sizes: Sizes) -> bool:
    """Whether these sizes are fractions, not numbers of nodes."""
    return all(size < 1 for size in sizes)


def are_sizes(sizes: object) -> bool:
    """Whether these are three valid part sizes: fractions with a sum of at most 1, or integers."""
    if not isinstance(sizes, list | tuple) or len(sizes) != 3:
        return False
    if any(isinstance(size, bool) or not isinstance(size, int | float) or not size > 0 for size in sizes):
        return False
    return sum(sizes) <= 1 + 1e-9 if is_fractions(sizes) else all(type(size) is int for size in sizes)


def in_words(sizes: Sizes) -> str:
    """`60, 20 and 20 % of every class`."""
    if is_fractions(sizes):
        return "{:g}, {:g} and {:g} % of every class".format(*(100 * size for size in sizes))
    return "{} training nodes per class, {} validation and {} test nodes".format(*sizes)

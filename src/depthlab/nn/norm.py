"""The setting `norm`: normalisation between propagation and relu in hidden layers."""

from torch import nn

NORMS = ("none", "batch", "layer", "pair")
PAIR_EPSILON = 1e-6  # of the authors' code; PyG's default of 1e-5 shrinks collapsed states


def make_norm(kind: str, channels: int) -> nn.Module:
    r"""The norm of a name.

    Args:
        kind: `none` (identity), `batch` (BatchNorm1d), `layer` (LayerNorm), or `pair` (PairNorm, Zhao & Akoglu 2020,
            https://arxiv.org/abs/1909.12223): :math:`(x_i - \bar x) / \sqrt{\epsilon + \frac1n \sum_j \lVert x_j -
            \bar x \rVert^2}`.
        channels: of the states.

    Raises:
        ValueError: there is no norm of that name.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return nn.BatchNorm1d(channels)
    if kind == "layer":
        return nn.LayerNorm(channels)
    if kind == "pair":
        from torch_geometric.nn import PairNorm

        return PairNorm(eps=PAIR_EPSILON)
    raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {kind}")


def make_norms(kind: str, count: int, channels: int) -> nn.ModuleList:
    """One norm of this kind for each of `count` layers."""
    return nn.ModuleList(make_norm(kind, channels) for _ in range(count))

"""The visible `norm` setting: what stands between propagation and relu in hidden layers."""

from torch import nn
from torch_geometric.nn import PairNorm

NORMS = ("none", "batch", "layer", "pair")


def make_norm(kind: str, channels: int) -> nn.Module:
    """`none` (identity), `batch` (BatchNorm1d), `layer` (LayerNorm) or `pair` (PairNorm, Zhao & Akoglu 2020)."""
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return nn.BatchNorm1d(channels)
    if kind == "layer":
        return nn.LayerNorm(channels)
    if kind == "pair":
        return PairNorm()
    raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {kind}")

"""A dense layer that takes dense or sparse features."""

import math

import torch
from torch import Tensor, nn

from depthlab.ops import SparseFeatures
from depthlab.ops import matmul as matmul


class Linear(nn.Module):
    """`X W + b` with W of shape (in, out), initialised as `torch.nn.Linear`: uniform in ±1/sqrt(in)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_channels)
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor | SparseFeatures) -> Tensor:
        if isinstance(x, SparseFeatures):
            return matmul(x, self.weight) + self.bias
        product = torch.addmm if self.weight.dim() == 2 else torch.baddbmm  # the latter of replicas
        return product(self.bias, x, self.weight).to(self.weight.dtype)  # lower precision under autocast


def glorot(in_channels: int, out_channels: int) -> nn.Parameter:
    """A weight of shape (in, out), uniform in +-sqrt(6 / (in + out)) (Glorot & Bengio 2010)."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_channels, out_channels)))

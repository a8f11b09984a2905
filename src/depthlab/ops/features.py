"""Bag-of-words features kept sparse: dropping and multiplying the stored values only is the same maths."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from depthlab.ops.dropout import thin
from depthlab.ops.masks import MaskSource, draw_threshold
from depthlab.ops.precision import full_precision
from depthlab.ops.propagation import product, same_pattern


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """A constant feature matrix X of shape (n, f) as CSR, with the CSR of its transpose for the gradient of a weight.

    Attributes:
        matrix: X, sparse CSR (n, f).
        transpose: X^T, sparse CSR (f, n).
        order: position in `matrix` of each stored value of `transpose`.
    """

    matrix: Tensor
    transpose: Tensor
    order: Tensor

    @staticmethod
    def from_csr(crow: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int]) -> "SparseFeatures":
        """From the three arrays of a CSR matrix of the given shape."""
        rows = torch.repeat_interleave(torch.arange(shape[0]), crow.diff().long())
        order = torch.argsort(col, stable=True)
        crow_t = torch.zeros(shape[1] + 1, dtype=torch.long)
        crow_t[1:] = torch.bincount(col.long(), minlength=shape[1]).cumsum(0)
        matrix = torch.sparse_csr_tensor(crow.int(), col.int(), values, shape, check_invariants=False)
        transpose = torch.sparse_csr_tensor(
            crow_t.int(), rows[order].int(), values[order], (shape[1], shape[0]), check_invariants=False
        )
        return SparseFeatures(matrix, transpose, order)

    @property
    def shape(self) -> torch.Size:
        return self.matrix.shape

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def to_dense(self) -> Tensor:
        """X as a dense tensor of shape (n, f)."""
        return self.matrix.to_dense()

    def to(self, device: torch.device | str, **_: Any) -> "SparseFeatures":
        """A copy on another device."""
        moved = (self.matrix.to(device), self.transpose.to(device), self.order.to(device))
        return SparseFeatures(*moved)

    def dropout(self, p: float, masks: MaskSource) -> "SparseFeatures":
        """Zero each stored value with probability p and scale the others by 1/(1-p)."""
        if p == 0.0:
            return self
        threshold, scale = draw_threshold(p)
        values = self.matrix.values()
        bits = masks.bits((values.numel(),), values.device)
        return self.with_values(thin(values, bits, threshold).mul_(scale))

    def with_values(self, values: Tensor) -> "SparseFeatures":
        """The same pattern with other stored values (in the order of `matrix`)."""
        return replace(
            self,
            matrix=same_pattern(self.matrix, values),
            transpose=same_pattern(self.transpose, values.index_select(0, self.order)),
        )


class _SparseMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: SparseFeatures, weight: Tensor) -> Tensor:
        ctx.x = x
        return product(x.matrix, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, product(ctx.x.transpose, grads[0])


def matmul(x: Tensor | SparseFeatures, weight: Tensor) -> Tensor:
    """`X W` for dense or sparse X of shape (n, f) and W of shape (f, c); X is a constant where it is sparse.

    Of r replicas W is (r, f, c) and the product (r, n, c); a sparse X is then block-diagonal, (r n, r f).
    """
    if not isinstance(x, SparseFeatures):
        return x @ weight
    flat: Tensor = _sparse_matmul(x, weight.flatten(0, -2))
    return flat.view(*weight.shape[:-2], -1, weight.shape[-1])


_sparse_matmul = full_precision(_SparseMatmul.apply)


def has_unit_rows(x: Tensor | SparseFeatures) -> bool:
    """Whether each row sums to 1 (up to rounding) or to 0, as row-normalised features do."""
    if isinstance(x, SparseFeatures):
        rows = torch.repeat_interleave(x.matrix.crow_indices().diff().long())
        total = x.matrix.values().new_zeros(x.shape[0]).index_add_(0, rows, x.matrix.values())
    else:
        total = x.sum(1)
    is_one, is_zero = (total - 1).abs() < 1e-4, total == 0
    return bool((is_one | is_zero).all() and is_one.any())

"""Sparse propagation `scale * P x + residual` with a hand-written backward pass."""

from typing import Any, Protocol

import torch
from torch import Tensor


class Propagator(Protocol):
    """A sparse operator and its transpose, both CSR (the same object where the operator is symmetric)."""

    @property
    def matrix(self) -> Tensor: ...

    @property
    def transpose(self) -> Tensor: ...


def same_pattern(matrix: Tensor, values: Tensor) -> Tensor:
    """A CSR matrix on the pattern of `matrix` with other stored values, given in its order."""
    return torch.sparse_csr_tensor(
        matrix.crow_indices(), matrix.col_indices(), values, matrix.shape, check_invariants=False
    )


def product(matrix: Tensor, x: Tensor, scale: float) -> Tensor:
    """`scale * M x` for a square M; written into its own output, which beta=0 leaves unread, so nothing is copied."""
    out = torch.empty_like(x)
    return torch.addmm(out, matrix, x, beta=0.0, alpha=scale, out=out)


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, operator: Propagator, x: Tensor, scale: float, residual: Tensor | None) -> Tensor:
        ctx.operator, ctx.scale = operator, scale
        if residual is None:
            return product(operator.matrix, x, scale)
        return torch.addmm(residual, operator.matrix, x, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, None, Tensor | None]:
        (grad,) = grads
        wants_x, wants_residual = ctx.needs_input_grad[1], ctx.needs_input_grad[3]
        back = product(ctx.operator.transpose, grad, ctx.scale) if wants_x else None
        return None, back, None, grad if wants_residual else None


def propagate(operator: Propagator, x: Tensor, *, scale: float = 1.0, residual: Tensor | None = None) -> Tensor:
    """`scale * P x + residual`, fused into one sparse product.

    The backward pass is `scale * P^T g` for x (P itself where P is symmetric: no transposition, no per-edge messages)
    and g for the residual. P is a constant here: no gradient reaches its values.

    Args:
        operator: P as CSR, shape (n, n).
        x: states, shape (n, f).
        scale: a constant factor, for example 1/(1-p) of a preceding dropout.
        residual: added to the product, shape (n, f).

    Returns:
        shape (n, f).
    """
    return _Propagate.apply(operator, x, scale, residual)

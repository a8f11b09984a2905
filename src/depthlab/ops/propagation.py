"""Sparse propagation `scale * P x + residual` with a hand-written backward pass."""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from depthlab.ops.precision import full_precision

AT_ONCE = 1 << 18  # numbers of a product that are made together: a megabyte
FEW = 1 << 18  # entries times channels, below which a call of either kernel takes longer than its work


class Propagator(Protocol):
    """A sparse operator and its transpose, both CSR; one object only if the operator is symmetric.

    The backward pass multiplies by `transpose` and does not assume symmetry. `learned` holds the values of `matrix` if
    they need a gradient, else None.
    """

    @property
    def matrix(self) -> Tensor: ...

    @property
    def transpose(self) -> Tensor: ...

    @property
    def learned(self) -> Tensor | None: ...


def same_pattern(matrix: Tensor, values: Tensor) -> Tensor:
    """A CSR matrix on the pattern of `matrix` with other stored values, given in its order."""
    return torch.sparse_csr_tensor(
        matrix.crow_indices(), matrix.col_indices(), values, matrix.shape, check_invariants=False
    )


def product(
    matrix: Tensor, x: Tensor, scale: float = 1.0, residual: Tensor | None = None, buffer: Tensor | None = None
) -> Tensor:
    """`scale * M x + residual`, without gradients.

    In float32 on a CPU, where there is enough to do, a row of M is a bag of rows of x, weighed and summed by the kernel
    that PyTorch has for embeddings. On x86 that is FBGEMM, which writes code for the processor and the number of
    channels at hand, faster than the general sparse product by the factors that `python -m benchmarks.products` prints.
    It is asked for some rows at a time, which are still in the cache when the residual is added.

    Args:
        matrix: M, sparse CSR (m, n).
        x: (n, f).
        scale: a constant factor.
        residual: (m, f).
        buffer: (m, f), contiguous: the result may be written there, and is where it is made in parts.

    Returns:
        (m, f).

    Raises:
        ValueError: x has another number of rows than M has columns, which the kernel would not notice.
    """
    if x.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix {tuple(matrix.shape)} cannot be multiplied with states {tuple(x.shape)}")
    rows, channels = matrix.shape[0], x.shape[1]
    few = matrix.values().numel() * channels < FEW
    if few or x.dtype != torch.float32 or x.device.type != "cpu":
        if residual is not None:
            return torch.addmm(residual, matrix, x, alpha=scale, out=buffer)
        out = x.new_empty(rows, channels) if buffer is None else buffer  # beta=0 leaves it unread: nothing is copied
        return torch.addmm(out, matrix, x, beta=0.0, alpha=scale, out=out)
    crow, col, values = matrix.crow_indices(), matrix.col_indices(), matrix.values().contiguous()
    if scale != 1.0:
        values = values * scale  # there are fewer of them than numbers in the product, but for few channels
    x, step = x.detach().contiguous(), max(1, AT_ONCE // max(1, channels))
    if rows <= step:
        total = _bags(crow, col, values, x)
        return total if residual is None else total.add_(residual)
    out = x.new_empty(rows, channels) if buffer is None else buffer
    for first in range(0, rows, step):
        part, starts = slice(first, min(first + step, rows)), crow[first : first + step + 1]
        begin, end = int(starts[0]), int(starts[-1])
        total = _bags(starts - begin, col[begin:end], values[begin:end], x)
        if residual is None:
            out[part] = total
        else:
            torch.add(residual[part], total, out=out[part])
    return out


def _bags(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """The product of x with a CSR matrix of these arrays; anything but contiguous ones would be summed slowly."""
    return F.embedding_bag(col, x, crow, mode="sum", per_sample_weights=values, include_last_offset=True)


def entry_products(pattern: Tensor, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    """`scale * <a_i, b_j>` for every stored entry (i, j) of a CSR matrix; a and b of shape (n, f). In CSR order."""
    return torch.sparse.sampled_addmm(pattern, a, b.T, beta=0.0, alpha=scale).values()


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, operator: Propagator, learned: Tensor | None, x: Tensor, scale: float, residual: Tensor | None
    ) -> Tensor:
        ctx.operator, ctx.scale = operator, scale
        if learned is not None:
            ctx.save_for_backward(x)
        return product(operator.matrix, x, scale, residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None, None, Tensor | None]:
        (grad,) = grads
        _, wants_values, wants_x, _, wants_residual = ctx.needs_input_grad
        values = None
        if wants_values:
            (x,) = ctx.saved_tensors
            values = entry_products(ctx.operator.matrix, grad, x, ctx.scale)
        back = product(ctx.operator.transpose, grad, ctx.scale) if wants_x else None
        return None, values, back, None, grad if wants_residual else None


@full_precision
def propagate(operator: Propagator, x: Tensor, *, scale: float = 1.0, residual: Tensor | None = None) -> Tensor:
    """`scale * P x + residual`, fused into one sparse product.

    The backward pass is `scale * P^T g` for x (no per-edge messages), g for the residual and, if the values of P are
    learned, `scale * <g_i, x_j>` for the stored entries only.

    Args:
        operator: P as CSR, shape (n, n).
        x: states, shape (n, f), or (r, n / r, f) of r replicas, whose operator is block-diagonal.
        scale: a constant factor, for example 1/(1-p) of a preceding dropout.
        residual: added to the product, of the shape of x.

    Returns:
        A tensor of the shape of x.
    """
    if x.dim() > 2:
        rest = None if residual is None else residual.flatten(0, -2)
        return propagate(operator, x.flatten(0, -2), scale=scale, residual=rest).view(x.shape)
    return _Propagate.apply(operator, operator.learned, x, scale, residual)


class _EntryProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Tensor, transpose: Tensor, order: Tensor, a: Tensor, b: Tensor) -> Tensor:
        ctx.patterns = pattern, transpose, order
        ctx.save_for_backward(a, b)
        return entry_products(pattern, a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None, Tensor, Tensor]:
        (grad,), (a, b), (pattern, transpose, order) = grads, ctx.saved_tensors, ctx.patterns
        grad_a = product(same_pattern(pattern, grad), b)
        return None, None, None, grad_a, product(same_pattern(transpose, grad[order]), a)


@full_precision
def edge_scores(pattern: Tensor, transpose: Tensor, order: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`<a_i, b_j>` for every stored entry (i, j), with gradients for a and b as two sparse products.

    Args:
        pattern, transpose: an operator as CSR and its transpose, (n, n); their values, if finite, do not matter.
        order: position in `pattern` of each entry of `transpose`.
        a, b: shape (n, f).

    Returns:
        one number per entry, in the order of `pattern`.
    """
    return _EntryProducts.apply(pattern, transpose, order, a, b)

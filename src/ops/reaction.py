"""The right-hand side of a reaction-diffusion equation on a graph, as one node of the autograd graph."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.ops.propagation import Propagator, entry_products, product


class _Reaction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, operator: Propagator, learned: Tensor | None, x: Tensor, alpha: Tensor, delta: Tensor | None
    ) -> Tensor:
        force = product(operator.matrix, x, 1.0)
        ctx.operator = operator
        if delta is None:
            ctx.save_for_backward(force, x, alpha)
            return force * alpha
        ctx.save_for_backward(force, x, alpha, delta)
        well = torch.addcmul(x, x * x, x, value=-1.0).mul_(delta)
        return well.addcmul_(force, alpha)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor, Tensor | None]:
        (grad,), (force, x, alpha, *well) = grads, ctx.saved_tensors
        of_force = grad * alpha
        of_values = entry_products(ctx.operator.matrix, of_force, x) if ctx.needs_input_grad[1] else None
        of_alpha = (grad * force).sum(0)
        if not well:
            return None, of_values, product(ctx.operator.transpose, of_force, 1.0), of_alpha, None
        (delta,) = well
        square, slope = x * x, grad * delta
        of_delta = torch.addcmul(x, square, x, value=-1.0).mul_(grad).sum(0)
        through_well = torch.addcmul(slope, square, slope, value=-3.0)
        of_x = torch.addmm(through_well, ctx.operator.transpose, of_force)
        return None, of_values, of_x, of_alpha, of_delta


def reaction(operator: Propagator, x: Tensor, alpha: Tensor, delta: Tensor | None = None) -> Tensor:
    r"""`alpha * (L x) + delta * x * (1 - x * x)`, products channel-wise.

    The second term pulls every channel to -1 or +1: minus the slope of the double well
    :math:`\delta (1 - x^2)^2 / 4` (Allen & Cahn 1979).

    Args:
        operator: L as CSR, shape (n, n).
        x: states, shape (n, f).
        alpha: shape (f,).
        delta: shape (f,), or None for no well.

    Returns:
        shape (n, f).
    """
    return _Reaction.apply(operator, operator.learned, x, alpha, delta)

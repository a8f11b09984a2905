"""The right-hand side of a reaction-diffusion equation on a graph, as one node of the autograd graph."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from depthlab.ops.precision import full_precision
from depthlab.ops.propagation import Propagator, entry_products, product


class _Reaction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, operator: Propagator, learned: Tensor | None, x: Tensor, alpha: Tensor, delta: Tensor | None
    ) -> Tensor:
        force = product(operator.matrix, x)
        ctx.operator = operator
        if delta is None:
            ctx.save_for_backward(force, x, alpha)
            return force * alpha
        ctx.save_for_backward(force, x, alpha, delta)
        well = x * x
        torch.addcmul(x, well, x, value=-1.0, out=well)  # every new tensor of this size costs as much as a pass over it
        return well.mul_(delta).addcmul_(force, alpha)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor, Tensor | None]:
        (grad,), (force, x, alpha, *well) = grads, ctx.saved_tensors
        first = grad * force
        grad_alpha = first.sum(0)
        if not well:
            grad_force = torch.mul(grad, alpha, out=first)
            grad_x = product(ctx.operator.transpose, grad_force)
            return None, _grad_values(ctx, grad_force, x), grad_x, grad_alpha, None
        (delta,) = well
        square = torch.mul(x, x, out=first)
        second = torch.addcmul(x, square, x, value=-1.0)
        grad_delta = second.mul_(grad).sum(0)
        through_well = torch.mul(grad, delta, out=second).addcmul_(square, second, value=-3.0)
        grad_force = torch.mul(grad, alpha, out=first)
        grad_x = product(ctx.operator.transpose, grad_force, residual=through_well)
        return None, _grad_values(ctx, grad_force, x), grad_x, grad_alpha, grad_delta


def _grad_values(ctx: Any, grad_force: Tensor, x: Tensor) -> Tensor | None:
    return entry_products(ctx.operator.matrix, grad_force, x) if ctx.needs_input_grad[1] else None


@full_precision
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

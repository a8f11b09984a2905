"""Layers `h <- dropout(relu((scale * P h + residual) M))` in a row, as one node of the autograd graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from depthlab.ops.dropout import relu_dropout, select
from depthlab.ops.masks import MaskSource, draw_threshold
from depthlab.ops.precision import autocast_device
from depthlab.ops.propagation import Propagator, product, propagate


def residual_layers(
    at: Callable[[int], Propagator],
    x: Tensor,
    residual: Tensor,
    weights: Tensor,
    *,
    scale: float,
    dropout: float,
    masks: MaskSource,
    every: int = 1,
) -> Tensor:
    r"""`h <- dropout(relu((scale * P_l h + residual) M_l))` for every l, starting with x.

    All layers are one node of the autograd graph. Temporary tensors are buffers that stay in the processor's cache from
    one layer to the next. The backward pass stores one state per layer, in one block of memory. It recomputes
    :math:`(scale \cdot P h + residual)` for a tenth of a layer's time; the gradient passes relu and dropout where the
    state after them is not zero.

    Args:
        at: l -> P_l as CSR, shape (n, n), called for l = 0, 1, ... in turn; it may draw from `masks`.
        x: states, shape (n, f), or (r, n / r, f) of r replicas, whose operators are block-diagonal.
        residual: added to the propagated states, of the shape of x.
        weights: M_l, shape (layers, f, c), or (r, layers, f, c); f = c if there are several layers.
        scale: a constant factor of the propagation.
        dropout: probability in [0, 1).
        masks: the source of random bits.
        every: store the input of every `every`-th layer and recompute the other states in the backward pass.

    Returns:
        The last state, (n, c), or (r, n / r, c).
    """
    if autocast_device(x):  # products with weights are in fewer bits, and every state is stored
        for number, weight in enumerate(weights.unbind(-3)):
            x = relu_dropout(propagate(at(number), x, scale=scale, residual=residual) @ weight, dropout, masks)
        return x
    threshold, pending = draw_threshold(dropout) if dropout > 0.0 else (None, 1.0)
    every = every if torch.is_grad_enabled() else 0
    scales = [scale] + [scale * pending] * (weights.shape[-3] - 1)  # states are stored without their dropout factor
    out = _Layers.apply(at, x, residual, weights, scales, threshold, masks, every)
    return out if pending == 1.0 else out * pending


@dataclass(frozen=True)
class _Stack:
    """The layers of a pass: arguments of `residual_layers`, and the buffers `support` and `bits`."""

    operators: list[Propagator]
    residual: Tensor
    weights: Sequence[Tensor]
    scales: Sequence[float]
    threshold: float | None
    masks: MaskSource
    support: Tensor
    bits: Tensor

    def propagate(self, number: int, h: Tensor) -> Tensor:
        """scale * P h + residual, in a buffer that the next call overwrites; P is block-diagonal for replicas."""
        residual, support = self.residual.flatten(0, -2), self.support.flatten(0, -2)
        return product(self.operators[number].matrix, h.flatten(0, -2), self.scales[number], residual, support).view(
            h.shape
        )

    def layer(self, number: int, h: Tensor, out: Tensor) -> Tensor:
        """The next state, written to `out`."""
        multiply(self.propagate(number, h), self.weights[number], out)
        if self.threshold is not None:
            bits = self.bits.copy_(self.masks.bits(tuple(out.shape), out.device))
            select.grad_input(out, bits, self.threshold, grad_input=out)
        return out.relu_()


def multiply(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """`a b` for matrices, or for a batch of them."""
    return torch.mm(a, b, out=out) if a.dim() == 2 else torch.bmm(a, b, out=out)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        at: Callable[[int], Propagator],
        x: Tensor,
        residual: Tensor,
        weights: Tensor,
        scales: Sequence[float],
        threshold: float | None,
        masks: MaskSource,
        every: int,
    ) -> Tensor:
        depth, shape = weights.shape[-3], (*x.shape[:-1], weights.shape[-1])
        last = (depth - 1) // every * every if every else depth  # the last segment is used first: store all of it
        numbers = [n for n in range(1, depth + 1) if n > last or (every and n % every == 0)]
        stored = dict(zip(numbers, x.new_empty(len(numbers), *shape).unbind(0), strict=True))  # in one block
        buffers = [x.new_empty(shape) for _ in range(2)] if len(numbers) < depth else []
        bits = x.new_empty(shape if threshold is not None else 0)
        operators: list[Propagator] = []
        stack = _Stack(operators, residual, weights.unbind(-3), scales, threshold, masks, torch.empty_like(x), bits)
        h, random_states = x, {}
        for number in range(depth):
            if every > 1 and number % every == 0:
                random_states[number] = masks.state()
            operators.append(at(number))
            h = stack.layer(number, h, stored[number + 1] if number + 1 in stored else buffers[number % 2])
        if every:
            ctx.stack, ctx.every, ctx.stored = (operators, scales, threshold, masks), every, [0, *stored]
            ctx.at, ctx.random_states = at, random_states
            ctx.save_for_backward(residual, weights, x, *stored.values())
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        residual, weights, *stored = ctx.saved_tensors
        operators, scales, threshold, masks = ctx.stack
        states = dict(zip(ctx.stored, stored, strict=True))
        (grad,), x, depth = grads, states[0], len(operators)
        passed, bits, spare = torch.empty_like(grad), torch.empty_like(grad), tuple[Tensor, ...]()
        grad_support, back, grad_residual = torch.empty_like(x), torch.empty_like(x), torch.zeros_like(residual)
        stacked = weights.new_empty(weights.movedim(-3, 0).shape)  # a product of replicas is slow to write elsewhere
        grad_weights, by_layer = stacked.movedim(0, -3), stacked.unbind(0)
        maps = weights.unbind(-3)
        stack = _Stack(operators, residual, maps, scales, threshold, masks, torch.empty_like(x), bits)
        for first in reversed(range(0, depth, ctx.every)):
            numbers = range(first, min(first + ctx.every, depth))
            if first + 1 not in states:
                spare = spare or grad.new_empty(ctx.every - 1, *grad.shape).unbind(0)
                with masks.replay(ctx.random_states[first]):
                    for number, out in zip(numbers[:-1], spare, strict=True):
                        ctx.at(number)  # repeats its random draws
                        states[number + 1] = stack.layer(number, states[number], out)
            for number in reversed(numbers):
                select.grad_input(grad, states[number + 1], 0.0, grad_input=passed)  # > 0 iff relu and mask let it pass
                multiply(stack.propagate(number, states[number]).mT, passed, by_layer[number])
                multiply(passed, maps[number].mT, grad_support)
                grad_residual += grad_support
                flat, buffer = grad_support.flatten(0, -2), back.flatten(0, -2)
                grad = product(operators[number].transpose, flat, scales[number], buffer=buffer).view(x.shape)
        return None, grad, grad_residual, grad_weights, None, None, None, None

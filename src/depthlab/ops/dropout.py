"""Dropout, alone and fused with relu, in few vectorised passes over memory.

`aten::threshold_backward(a, b, t)` is "a where b > t, else 0" in one pass, `aten::elu_backward(g, 0, s, 0, True, y)` is
"s g where y > 0, else 0"; `torch.where` and a product with a boolean mask are 4 to 13 times slower on a CPU.
"""

from typing import Any

import torch
from torch import Tensor

from depthlab.ops.masks import MaskSource, draw_threshold
from depthlab.ops.precision import full_precision

select = torch.ops.aten.threshold_backward  # (a, b, t) -> a where b > t else 0
relu_gradient = torch.ops.aten.elu_backward


def thin(x: Tensor, bits: Tensor, threshold: float) -> Tensor:
    """Return `x` where `bits` (int8) exceed the threshold, else 0, as a new tensor."""
    out = bits.to(x.dtype)  # comparing 8-bit integers directly is slower
    return select.grad_input(x, out, threshold, grad_input=out)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: Tensor, threshold: float, scale: float) -> Tensor:
        ctx.save_for_backward(bits)
        ctx.threshold, ctx.scale = threshold, scale
        return thin(x, bits, threshold).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (bits,) = ctx.saved_tensors
        return thin(grads[0], bits, ctx.threshold).mul_(ctx.scale), None, None, None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: Tensor, threshold: float, scale: float) -> Tensor:
        out = thin(x, bits, threshold).relu_().mul_(scale)
        ctx.save_for_backward(out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (out,) = ctx.saved_tensors  # > 0 iff x > 0 and the element was not dropped
        return relu_gradient(grads[0], 0.0, ctx.scale, 0.0, True, out), None, None, None


@full_precision
def dropout(x: Tensor, p: float, masks: MaskSource) -> Tensor:
    """Zero each element with probability p and scale the others by 1/(1-p) (Srivastava et al. 2014).

    Args:
        x: float tensor of any shape.
        p: probability in [0, 1), rounded to a multiple of 1/256.
        masks: the source of random bits.
    """
    if p == 0.0:
        return x
    threshold, scale = draw_threshold(p)
    return _Dropout.apply(x, masks.bits(tuple(x.shape), x.device), threshold, scale)


@full_precision
def relu_dropout(x: Tensor, p: float, masks: MaskSource) -> Tensor:
    """`dropout(relu(x), p)` as one node of the autograd graph; arguments as in `dropout`."""
    if p == 0.0:
        return torch.relu(x)
    threshold, scale = draw_threshold(p)
    return _ReluDropout.apply(x, masks.bits(tuple(x.shape), x.device), threshold, scale)

"""Consecutive layers of a graph network, compiled, as one node of the autograd graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from depthlab import compiler
from depthlab.ops.kernel import Family, check, is_plain, padded
from depthlab.ops.masks import LEVELS, MaskSource, dropped_levels
from depthlab.ops.precision import autocast_device
from depthlab.ops.propagation import Propagator
from depthlab.ops.replica_masks import ReplicaMasks


def can_compile(x: Tensor, graph: Any) -> bool:
    """Whether `compiled_layers` can run: float32 on a CPU without autocast, constant operators, and a compiler.

    Args:
        x: a state or a weight.
        graph: operators by layer, or one operator.
    """
    learned = getattr(graph, "learned", None)
    return is_plain(x) and not autocast_device(x) and learned is None and compiler.kernel() is not None


def compiled_layers(
    at: Callable[[int], Propagator],
    x: Tensor,
    *,
    depth: int,
    weights: Tensor | None = None,
    betas: Tensor | None = None,
    residual: Tensor | None = None,
    skip: Tensor | None = None,
    relu: bool = True,
    scale: float = 1.0,
    dropout: float = 0.0,
    masks: MaskSource | ReplicaMasks,
    every: int = 1,
) -> Tensor:
    r"""Run layers by the compiled kernel (`layers.cpp`), where `can_compile` says that it can run.

    .. math::
        Z_l = (scale \cdot P_l X_{l-1} + R) ((1 - \beta_l) I + \beta_l W_l), \qquad
        H_l = \mathrm{relu}(Z_l) + H_{l-1}, \qquad X_l = \mathrm{dropout}(H_l)

    The residual R, the weights W, relu and the skip H_{l-1} are left out where they are not given. The dropout masks
    differ from those of `MaskSource.bits`: the kernel draws them by a key of the source, the layer and the row block.

    Args:
        at: l -> P_l as CSR, shape (n, n), called for l = 0, 1, ... in turn; it may draw from `masks`.
        x: X_0, shape (n, f), or (r, n / r, f) of r replicas, whose operators are block-diagonal with equal patterns.
        depth: number of layers.
        weights: W_l, shape (depth, f, f), or (r, depth, f, f).
        betas: beta_l, depth numbers; all 1 by default.
        residual, skip: R and H_0, of the shape of x.
        relu: whether layers have it.
        scale: a constant factor of the propagation.
        dropout: probability in [0, 1).
        masks: the source of random bits.
        every: store the input of every `every`-th layer and recompute the other states in the backward pass.

    Returns:
        X_depth, of the shape of x.

    Raises:
        ValueError: a tensor is not float32 on a CPU or has another shape, or values of P are learned.
    """
    operators = [at(layer) for layer in range(depth)]
    check(operators, x, weights, residual, skip)
    count = x.shape[0] if x.dim() == 3 else 1
    dropped = dropped_levels(dropout)
    pending = LEVELS / (LEVELS - dropped)
    scales = [scale] + [scale * pending] * (depth - 1)  # states are stored without the factor of their dropout
    strengths = [1.0] * depth if betas is None else betas.flatten().tolist()
    if len(strengths) != depth:
        raise ValueError(f"{depth} layers need as many betas, got {len(strengths)}")
    keys = masks.mask_keys() if dropped else [0] * count
    nodes, channels = x.shape[-2:]
    families = []
    for number, key in enumerate(keys):
        matrices = _copy([operator.matrix for operator in operators], number, count)
        transposes = _copy([operator.transpose for operator in operators], number, count)
        families.append(Family(matrices, transposes, scales, strengths, relu, dropped, key, nodes, channels))
    every = every if torch.is_grad_enabled() else 0
    out: Tensor = _Compiled.apply(families, every, x, weights, residual, skip)
    return out * pending if dropped else out


def _copy(matrices: Sequence[Tensor], number: int, count: int) -> list[Tensor]:
    """Block `number` of `count` equal patterns on the diagonal of each matrix."""
    if count == 1:
        return list(matrices)
    made: dict[int, Tensor] = {}
    for matrix in matrices:
        if id(matrix) not in made:
            nodes, entries = matrix.shape[0] // count, matrix.values().numel() // count
            values = matrix.values()[number * entries : (number + 1) * entries]
            crow, col = matrix.crow_indices()[: nodes + 1], matrix.col_indices()[:entries]
            made[id(matrix)] = torch.sparse_csr_tensor(crow, col, values, (nodes, nodes), check_invariants=False)
    return [made[id(matrix)] for matrix in matrices]


_State = tuple[Tensor, Tensor | None]  # after dropout; before it, if there is a skip
_Kept = tuple[Tensor | None, Tensor | None, Tensor | None]  # support, bits of relu and mask, bits of the mask alone
NOTHING: _Kept = (None, None, None)


@dataclass(frozen=True)
class _Segment:
    """Layers of one replica whose intermediate states are stored together.

    Attributes:
        layers: their numbers.
        x, skip: inputs of the first one.
        kept: what the backward pass reads, or nothing where it is computed again.
    """

    layers: range
    x: Tensor
    skip: Tensor | None
    kept: _Kept

    def run(self, family: Family, residual: Tensor | None, weights: Tensor | None, kept: _Kept) -> _State:
        """The state after these layers, before and after dropout; `kept` is written."""
        out, skip = torch.empty(family.nodes, family.width), None if self.skip is None else self.skip.clone()
        family.forward(
            self.layers, self.x, out, weight=_part(weights, self.layers), residual=residual, skip=skip,
            support=kept[0], passed=kept[1], kept=kept[2],
        )  # fmt: skip
        return out, skip


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, families: list[Family], every: int, x: Tensor, weights: Tensor | None, residual: Tensor | None,
        skip: Tensor | None,
    ) -> Tensor:  # fmt: skip
        out, saved = [], []
        for number, family in enumerate(families):
            last, segments = _forward(
                family, every, (_rows(x, number), _rows(skip, number)), _rows(residual, number), _own(weights, number)
            )
            out.append(last)
            saved += [tensor for one in segments for tensor in (one.x, one.skip, *one.kept)]
        if every:
            ctx.families, ctx.layers, ctx.shape = families, [one.layers for one in segments], x.shape
            ctx.save_for_backward(weights, residual, *saved)
        return _joined(out, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, residual, *saved = ctx.saved_tensors
        grad_weights = None if weights is None else torch.empty_like(weights, memory_format=torch.contiguous_format)
        rest, each = iter(saved), []
        for number, family in enumerate(ctx.families):
            segments = [_Segment(n, next(rest), next(rest), (next(rest), next(rest), next(rest))) for n in ctx.layers]
            own = _own(weights, number), _own(grad_weights, number)
            each.append(_backward(family, segments, _rows(grads[0], number), _rows(residual, number), *own))
        x, by_residual, by_skip = (_joined(parts, ctx.shape) for parts in zip(*each, strict=True))
        return None, None, x, grad_weights, by_residual, by_skip


def _forward(
    family: Family, every: int, state: _State, residual: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, list[_Segment]]:
    """The last state, and the segments. The last one stores what the backward pass reads, since it is read first."""
    depth, segments = len(family.scales), []
    length = every if every > 1 else depth
    for first in range(0, depth, length):
        layers = range(first, min(first + length, depth))
        stores = every and layers.stop == depth
        kept = _memory(family, len(layers), weights is not None, state[1] is not None) if stores else NOTHING
        segments.append(_Segment(layers, *state, kept))
        state = segments[-1].run(family, residual, weights, kept)
    return state[0], segments


def _backward(
    family: Family, segments: list[_Segment], grad: Tensor, residual: Tensor | None, weights: Tensor | None,
    grad_weights: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Gradients of x, the residual and the skip; that of the weights is written to its tensor."""
    grad_residual = None if residual is None else torch.zeros_like(grad)
    grad_skip = None if segments[0].skip is None else torch.zeros_like(grad)
    spare: _Kept = NOTHING
    for segment in reversed(segments):
        kept = segment.kept
        if segment is not segments[-1]:
            if spare is NOTHING:
                spare = _memory(family, len(segment.layers), weights is not None, grad_skip is not None)
            kept = spare
            segment.run(family, residual, weights, kept)
        above, grad = grad, torch.empty_like(grad)
        family.backward(
            segment.layers, above, grad, weight=_part(weights, segment.layers), skip=grad_skip, support=kept[0],
            passed=kept[1], kept=kept[2], grad_residual=grad_residual, grad_weight=_part(grad_weights, segment.layers),
        )  # fmt: skip
    return grad, grad_residual, grad_skip


def _memory(family: Family, layers: int, has_weight: bool, has_skip: bool) -> _Kept:
    """Memory for what the backward pass reads of some layers."""
    masked = family.dropped > 0
    return (
        family.support(layers) if has_weight else None,
        family.bits(layers) if family.relu or (masked and not has_skip) else None,
        family.bits(layers) if masked and has_skip else None,
    )


def _part(weights: Tensor | None, layers: range) -> Tensor | None:
    return None if weights is None else weights[layers.start : layers.stop]


@overload
def _rows(tensor: Tensor, number: int) -> Tensor: ...
@overload
def _rows(tensor: Tensor | None, number: int) -> Tensor | None: ...
def _rows(tensor: Tensor | None, number: int) -> Tensor | None:
    """The states of a replica, contiguous and padded to the width of the kernel."""
    if tensor is None:
        return None
    own = tensor if tensor.dim() == 2 else tensor[number]
    missing = padded(own.shape[-1]) - own.shape[-1]
    return F.pad(own, (0, missing)) if missing else own.contiguous()


def _own(weights: Tensor | None, number: int) -> Tensor | None:
    """The weights of a replica, contiguous."""
    if weights is None:
        return None
    return (weights if weights.dim() == 3 else weights[number]).contiguous()


def _joined(parts: Sequence[Tensor | None], shape: torch.Size) -> Any:
    """One tensor of all replicas, without the padding; None if there are none."""
    given = [part for part in parts if part is not None]
    if not given:
        return None
    joined = given[0] if len(shape) == 2 else torch.stack(given)
    return joined if joined.shape[-1] == shape[-1] else joined[..., : shape[-1]]

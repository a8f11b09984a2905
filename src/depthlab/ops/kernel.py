"""The compiled layers of `layers.cpp`, called through ctypes."""

import ctypes
import functools
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_float, c_int32, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass

import torch
from torch import Tensor

from depthlab import compiler
from depthlab.config.errors import UserError
from depthlab.ops.propagation import Propagator

PADDED = 16  # the width of states is a multiple of this
OPENMP = ("GOMP_parallel", "GOMP_barrier", "omp_get_thread_num", "omp_get_num_threads")


class _Pool(Structure):
    _fields_ = [(name, c_void_p) for name in ("parallel", "barrier", "thread", "threads")]


class _Matrix(Structure):
    _fields_ = [(name, c_void_p) for name in ("start", "column", "value")]


class _Layers(Structure):
    _fields_ = [  # in the order of layers.cpp
        ("pool", _Pool),
        *((name, c_int32) for name in ("threads", "nodes", "width", "channels", "first", "count", "relu", "dropped")),
        ("key", c_uint64),
        ("forward", POINTER(_Matrix)),
        ("backward", POINTER(_Matrix)),
        ("scale", POINTER(c_float)),
        ("beta", POINTER(c_float)),
        *((name, c_void_p) for name in (
            "weight", "residual", "skip", "x", "out", "one", "other", "support", "passed", "kept", "grad_residual",
            "grad_weight", "work",
        )),
    ]  # fmt: skip


@functools.cache
def _pool() -> _Pool:
    """The functions of the OpenMP library that torch itself has loaded: a second one would have threads of its own."""
    loaded = ctypes.CDLL(torch._C.__file__)  # a symbol is looked up in what it depends on, too
    try:
        return _Pool(*(ctypes.cast(loaded[name], c_void_p) for name in OPENMP))
    except AttributeError:
        raise UserError(
            f"this torch is built without OpenMP, which the compiled layers need: set {compiler.KERNEL}=plain"
        ) from None


@functools.cache
def _library() -> ctypes.CDLL:
    library = compiler.kernel()
    assert library is not None
    library.layers_work.restype = c_size_t
    for function in (library.layers_forward, library.layers_backward):
        function.argtypes, function.restype = [POINTER(_Layers)], None
    library.layers_random.argtypes, library.layers_random.restype = [c_uint64, *[c_int32] * 3, c_void_p], None
    return library


def check(operators: Sequence[Propagator], x: Tensor, weights: Tensor | None, *states: Tensor | None) -> None:
    """Raise ValueError for tensors that the kernel would misread, because it gets bare pointers.

    Args:
        operators: P_l by layer.
        x, weights: arguments of `compiled_layers`.
        states: tensors of the shape of x.
    """
    nodes, channels = x.shape[:-1].numel(), x.shape[-1]
    for operator in {id(one): one for one in operators}.values():
        matrix = operator.matrix
        if matrix.shape != (nodes, nodes):
            raise ValueError(f"a matrix {tuple(matrix.shape)} cannot be multiplied with states {tuple(x.shape)}")
        is_known = is_plain(matrix.values()) and matrix.col_indices().dtype == torch.int32
        if not is_known or operator.learned is not None or not matrix.values().is_contiguous():
            raise ValueError("compiled layers take constant operators, float32 with int32 indices, on a CPU")
    if not all(tensor is None or is_plain(tensor) for tensor in (x, weights, *states)):
        raise ValueError("compiled layers take float32 tensors on a CPU")
    expected = (*x.shape[:-2], len(operators), channels, channels)
    if weights is not None and weights.shape != expected:
        raise ValueError(f"the weights of these layers have the shape {expected}, got {tuple(weights.shape)}")
    for state in states:
        if state is not None and state.shape != x.shape:
            raise ValueError(f"all states have the shape {tuple(x.shape)}, got {tuple(state.shape)}")


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is float32 on a CPU."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


def padded(width: int) -> int:
    """The width of states that the kernel works on."""
    return -(-width // PADDED) * PADDED


@dataclass(frozen=True)
class Family:
    """What all layers of a pass have in common, and their constants.

    Attributes:
        matrices, transposes: P_l and its transpose as CSR, (n, n), by layer.
        scales, betas: factor of the propagation and strength of the weight, by layer.
        relu: whether a layer ends with relu.
        dropped: number of 256 random bytes that drop an element.
        key: of the masks.
        nodes, channels: n and f.
    """

    matrices: Sequence[Tensor]
    transposes: Sequence[Tensor]
    scales: Sequence[float]
    betas: Sequence[float]
    relu: bool
    dropped: int
    key: int
    nodes: int
    channels: int

    @property
    def width(self) -> int:
        return padded(self.channels)

    @property
    def threads(self) -> int:
        """The threads of a pass. One without a block of rows would only wait at the barrier of every layer."""
        blocks = -(-self.nodes // _library().layers_block())
        return max(1, min(torch.get_num_threads(), blocks))  # 0 would be as many as OpenMP likes

    def support(self, layers: int) -> Tensor:
        """Memory for the mixed states of some layers."""
        block = _library().layers_block()
        return torch.empty(layers, -(-self.nodes // block) * block, self.width)

    def bits(self, layers: int) -> Tensor:
        """Memory for one bit for each element of some layers."""
        lanes = _library().layers_lanes()
        return torch.empty(layers, self.nodes, self.width // lanes * max(1, lanes // 8), dtype=torch.uint8)

    def forward(
        self, layers: range, x: Tensor, out: Tensor, *, weight: Tensor | None, residual: Tensor | None,
        skip: Tensor | None, support: Tensor | None, passed: Tensor | None, kept: Tensor | None,
    ) -> None:  # fmt: skip
        """Run some layers on x (n, width) and write the last state to `out`; `skip` is overwritten.

        `support`, `passed` and `kept` receive what the backward pass reads, unless they are None.
        """
        tensors = {"weight": weight, "residual": residual, "skip": skip, "x": x, "out": out, "support": support}
        tensors |= {"passed": passed, "kept": kept}
        self._call("layers_forward", layers, tensors)

    def backward(
        self, layers: range, grad: Tensor, out: Tensor, *, weight: Tensor | None, skip: Tensor | None,
        support: Tensor | None, passed: Tensor | None, kept: Tensor | None, grad_residual: Tensor | None,
        grad_weight: Tensor | None,
    ) -> None:  # fmt: skip
        """Write the gradient of the input of some layers to `out`, and of their weights to `grad_weight`.

        `skip` is the gradient of the state before dropout and becomes that of the first layer. The gradient of the
        residual is added to `grad_residual`.
        """
        tensors = {"weight": weight, "skip": skip, "x": grad, "out": out, "support": support, "passed": passed}
        tensors |= {"kept": kept, "grad_residual": grad_residual, "grad_weight": grad_weight}
        self._call("layers_backward", layers, tensors)

    def _call(self, name: str, layers: range, tensors: dict[str, Tensor | None]) -> None:
        library, threads, count = _library(), self.threads, len(layers)
        tensors["one"], tensors["other"] = torch.empty(2, self.nodes, self.width).unbind(0)
        tensors["work"] = torch.empty(library.layers_work(self.width, threads))
        part = slice(layers.start, layers.stop)
        pass_ = _Layers(
            pool=_pool(), threads=threads, nodes=self.nodes, width=self.width, channels=self.channels,
            first=layers.start, count=count, relu=self.relu, dropped=self.dropped, key=self.key,
            forward=_matrices(self.matrices[part]), backward=_matrices(self.transposes[part]),
            scale=(c_float * count)(*self.scales[part]), beta=(c_float * count)(*self.betas[part]),
            **{key: None if one is None else one.data_ptr() for key, one in tensors.items()},
        )  # fmt: skip
        getattr(library, name)(pass_)


def _matrices(matrices: Sequence[Tensor]) -> "ctypes.Array[_Matrix]":
    made: dict[int, _Matrix] = {}
    for one in matrices:
        if id(one) not in made:
            arrays = (one.crow_indices(), one.col_indices(), one.values())
            made[id(one)] = _Matrix(*(array.data_ptr() for array in arrays))
    return (_Matrix * len(matrices))(*(made[id(one)] for one in matrices))


def random_bytes(key: int, layer: int, nodes: int, channels: int) -> Tensor:
    """The random bytes of a layer's mask, uint8 (nodes, channels): an element is dropped if its byte < `dropped`."""
    width = padded(channels)
    out = torch.empty(nodes * width + 64, dtype=torch.uint8)
    _library().layers_random(key, layer, nodes, width, out.data_ptr())
    return out[: nodes * width].view(nodes, width)[:, :channels]

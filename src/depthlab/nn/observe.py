"""Read the states of any network by hooks on its message-passing layers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, overload

import torch
from torch import Tensor, nn

from depthlab.config.errors import UserError

# Modules that belong to the layer before them: activation, dropout and normalisation. Subclasses count.
PART_OF_LAYER = (
    "torch.nn.modules.activation", "torch.nn.modules.dropout", "torch.nn.modules.batchnorm",
    "torch.nn.modules.instancenorm", "torch.nn.modules.normalization", "torch_geometric.nn.norm", "depthlab.nn.norm",
)  # fmt: skip
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@contextmanager
def observe(module: nn.Module, layers: str | None = None) -> "Iterator[States]":
    """Context in which the states of every pass through a network are read.

    State l is what enters message-passing layer l + 1. The last state is what the first module after the last layer
    receives; activation, dropout and normalisation modules that directly follow the layer belong to it. If no other
    module follows, the last state is the output. Raw outputs of a convolution are states only if nothing follows it.

    A layer is a `torch_geometric.nn.MessagePassing`; those inside another one do not count, and one that is called
    twice counts twice.

    Args:
        module: the network; how it is called and what it is given does not matter.
        layers: the modules to take as layers instead, such as `blocks.*`: a pattern of their names in `named_modules`,
            where `*` stands for any characters.

    Yields:
        The states of the latest pass, in the order of the layers: of L layers L + 1 tensors (n, channels), which stay
        in the autograd graph. Without gradients they are copies, so that an operation in place cannot change them; only
        what the network itself was given is no copy.

    Raises:
        UserError: the network has no message-passing layer, or the pattern matches no module. While a pass runs: a
            layer gets no tensor of node features. While states are read: an operation in place has changed one.
    """
    states, inner = States(), layers_of(module, layers)
    handles = [module.register_forward_pre_hook(states._begin)]
    for layer in inner:
        handles.append(layer.register_forward_pre_hook(states._enter, with_kwargs=True))
        handles.append(layer.register_forward_hook(states._leave))
    for part in module.modules():
        if isinstance(part, CONTAINERS) or not set(inner).isdisjoint(part.modules()):
            continue
        if is_part_of_layer(part):
            handles.append(part.register_forward_hook(states._pass_on))
        else:
            handles.append(part.register_forward_pre_hook(states._follow, with_kwargs=True))
    handles.append(module.register_forward_hook(states._end))
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def layers_of(module: nn.Module, pattern: str | None = None) -> list[nn.Module]:
    """The outermost message-passing layers, or modules whose name matches the pattern, in the order of definition.

    Raises:
        UserError: there are none.
    """
    from torch_geometric.nn import MessagePassing

    found: dict[str, nn.Module] = {}
    for name, part in module.named_modules():
        fits = isinstance(part, MessagePassing) if pattern is None else fnmatchcase(name, pattern)
        if fits and not any(not outer or name.startswith(f"{outer}.") for outer in found):
            found[name] = part
    if found:
        return list(found.values())
    kind = type(module).__name__
    if pattern is None:
        raise UserError(
            f"{kind} has no message-passing layer of PyG to read states from: name its layers with a pattern such as"
            " blocks.*"
        )
    names = [name for name, _ in module.named_modules() if name]
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise UserError(f"no module of {kind} has a name like {pattern}: its modules are {shown or 'none'}")


def is_part_of_layer(module: nn.Module) -> bool:
    """Whether a module only activates, drops or normalises, or consists of such modules."""
    if isinstance(module, nn.MultiheadAttention):
        return False
    if isinstance(module, nn.Identity) or any(kind.__module__.startswith(PART_OF_LAYER) for kind in type(module).mro()):
        return True
    children, own = list(module.children()), list(module.parameters(recurse=False))
    return children != [] and own == [] and all(map(is_part_of_layer, children))


class States(Sequence[Tensor]):
    """The states of the latest pass, as `observe` yields them.

    If only parts of the network are called, passes are not told apart: call `clear` before each.
    """

    def __init__(self) -> None:
        self.is_complete = False  # whether the latest pass went through the network itself
        self.clear()

    def clear(self) -> None:
        """Forget all states."""
        self._given: Sequence[Any] = ()
        self._entered: list[tuple[Tensor, int]] = []
        self._last: Tensor | None = None
        self._depth = 0  # of layers inside each other
        self._is_last_found = False
        self.is_running = False

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        return self._tensors()[index]

    def __len__(self) -> int:
        return len(self._tensors())

    def _tensors(self) -> list[Tensor]:
        for number, (state, version) in enumerate(self._entered):
            if not state.is_inference() and state._version != version:
                raise UserError(
                    f"state {number} was changed in place after it entered its layer: write x = x + ..., not x += ..."
                )
        entered = [state for state, _ in self._entered]
        return entered if self._last is None else [*entered, self._last]

    # Hooks -----------------------------------------------------------------------------------------------------------

    def _begin(self, module: nn.Module, args: Any) -> None:
        self.clear()
        self._given = args
        self.is_complete = self.is_running = True

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._entered and not self._is_last_found:
            self._last = node_features(output)
        self.is_running = False

    @property
    def _ignores(self) -> bool:
        """Whether the present call is no part of a pass: a module of a network, called after it, as recomputations."""
        return self.is_complete and not self.is_running

    def _enter(self, layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if self._ignores:
            return
        self._depth += 1
        if self._depth > 1:
            return
        state = node_features([kwargs["x"]] if "x" in kwargs else [*args, *kwargs.values()], first=True)
        if state is None:
            raise UserError(f"{type(layer).__name__} gets no tensor of node features, so its state cannot be read")
        if not torch.is_grad_enabled() and all(state is not given for given in self._given):
            state = state.clone()
        self._entered.append((state, 0 if state.is_inference() else state._version))
        self._last, self._is_last_found = None, False

    def _leave(self, layer: nn.Module, args: Any, output: Any) -> None:
        if self._ignores:
            return
        self._depth -= 1
        if self._depth == 0:
            self._last = node_features(output)

    def _pass_on(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._is_after_layer:
            self._last = node_features(output)

    def _follow(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if self._is_after_layer and (state := node_features([*args, *kwargs.values()], first=True)) is not None:
            self._last, self._is_last_found = state, True

    @property
    def _is_after_layer(self) -> bool:
        return bool(self._entered) and self._depth == 0 and not self._is_last_found and not self._ignores


def node_features(value: Any, first: bool = False) -> Tensor | None:
    """The floating-point matrix in an argument or an output; None if there is none.

    In a pair (of sources and targets) or a list (of states by layer) it is the last one, or with `first` that of the
    first entry that has one.
    """
    if isinstance(value, Tensor):
        return value if value.is_floating_point() and value.dim() > 1 else None
    if not isinstance(value, list | tuple):
        return None
    entries: Iterable[Any] = value if first else reversed(value)
    return next((found for found in map(node_features, entries) if found is not None), None)

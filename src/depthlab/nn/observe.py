"""Read the states of any network with hooks on its message-passing layers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, overload

import torch
from torch import Tensor, nn

from depthlab.config.errors import UserError

# Modules that belong to the preceding layer: activation, dropout and normalisation, and subclasses of these.
PART_OF_LAYER = (
    "torch.nn.modules.activation", "torch.nn.modules.dropout", "torch.nn.modules.batchnorm",
    "torch.nn.modules.instancenorm", "torch.nn.modules.normalization", "torch_geometric.nn.norm", "depthlab.nn.norm",
)  # fmt: skip
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@contextmanager
def observe(module: nn.Module, layers: str | None = None) -> "Iterator[States]":
    """Context manager that reads the states of every forward pass of a network.

    State l is the input of message-passing layer l + 1. The last state is the input of the first module after the last
    layer; activation, dropout and normalisation modules directly after the layer belong to it. If no other module
    follows, the last state is the output. The raw output of a convolution is a state only if nothing follows it.

    A layer is a `torch_geometric.nn.MessagePassing`. A layer inside another one does not count, and a layer that is
    called twice counts twice.

    Args:
        module: the network, with any signature.
        layers: pattern of the names in `named_modules` of the modules that are layers, such as `blocks.*`; `*` matches
            any characters.

    Yields:
        The states of the latest forward pass in the order of the layers: L + 1 tensors (n, channels) for L layers, in
        the autograd graph. Without gradients they are copies, so in-place operations cannot change them, except for the
        input of the network.

    Raises:
        UserError: the network has no message-passing layers, or the pattern matches no module. During a forward pass: a
            layer gets no node features. When states are read: an in-place operation has changed one.
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
    """The outermost message-passing layers, or the modules whose name matches the pattern, in order of definition.

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
    """Whether a module is an activation, dropout or normalisation, or consists of these."""
    if isinstance(module, nn.MultiheadAttention):
        return False
    if isinstance(module, nn.Identity) or any(kind.__module__.startswith(PART_OF_LAYER) for kind in type(module).mro()):
        return True
    children, own = list(module.children()), list(module.parameters(recurse=False))
    return children != [] and own == [] and all(map(is_part_of_layer, children))


class States(Sequence[Tensor]):
    """The states of the latest forward pass, as `observe` yields them.

    If only parts of the network are called, passes are not distinguished: call `clear` before each one.
    """

    def __init__(self) -> None:
        self.is_complete = False  # whether the latest pass called the network as a whole
        self.clear()

    def clear(self) -> None:
        """Remove all states."""
        self._given: Sequence[Any] = ()
        self._entered: list[tuple[Tensor, int]] = []
        self._last: Tensor | None = None
        self._depth = 0  # nesting depth of the current layer
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
        """Whether the current call is outside a forward pass, such as a recomputation in the backward pass."""
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
    """Find the floating-point matrix in an argument or an output; None if there is none.

    In a pair (of sources and targets) or a list (of states by layer) use the last matrix, or the first with `first`.
    """
    if isinstance(value, Tensor):
        return value if value.is_floating_point() and value.dim() > 1 else None
    if not isinstance(value, list | tuple):
        return None
    entries: Iterable[Any] = value if first else reversed(value)
    return next((found for found in map(node_features, entries) if found is not None), None)

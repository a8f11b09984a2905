"""Run the layers of a network: observe states, recompute layers, infer in blocks of rows, or skip a layer."""

import functools
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.nn.network import Features, LayerGraphs, Network, State
from depthlab.nn.probe import ERRORS, NODES, random_state, randomized, ring, same
from depthlab.ops import Buffers, recomputing

Watch = Callable[[int, Tensor], None]  # called with (l, measured tensor of state l), l = 0..depth
ROWS = 1 << 14  # rows per block


def run(
    network: Network, x: Features, graph: LayerGraphs, watch: Watch | None = None, every: int | None = None
) -> Tensor:
    """Outputs (n, out_channels), the same as `network.forward` returns.

    Args:
        x: features (n, in_channels).
        watch: called with every state, starting with the input of the first layer; in training after dropout, if the
            layer ends with dropout.
        every: store only the input of every `every`-th layer for the backward pass, which recomputes the others (Chen
            et al. 2016, https://arxiv.org/abs/1604.06174); None stores all.
    """
    if watch is None and _may_fuse(type(network)) and (out := network.fused(x, graph, every or 1)) is not None:
        return out
    state, graph = network.encode(x, graph)
    if watch:
        watch(0, state[0])
    recomputes = every and network.has_layers and torch.is_grad_enabled()
    length = every if every and recomputes else network.depth
    for first in range(0, network.depth, length):
        numbers = range(first, min(first + length, network.depth))
        if numbers.stop == network.depth:  # used first in the backward pass: storing it costs nothing more
            state = _layers(network, numbers, state, graph, watch)
        else:
            segment = _Segment(network, numbers, graph, watch)
            state = checkpoint(segment, *state, use_reentrant=False)  # with torch's random numbers, of `nn.Dropout`
    return network.decode(state)


def _may_fuse(kind: type[Network]) -> bool:
    """Whether `fused` is of these layers: a subclass that overrides `layer` alone inherits that of other ones."""
    fused, layer = (next(base for base in kind.__mro__ if name in vars(base)) for name in ("fused", "layer"))
    return issubclass(fused, layer)


def _layers(network: Network, numbers: range, state: State, graph: LayerGraphs, watch: Watch | None) -> State:
    for number in numbers:
        state = network.layer(number, state, graph.at(number))
        if watch:
            watch(number + 1, state[0])
    return state


class _Segment:
    """A segment of consecutive layers; every call after the first is a recomputation."""

    def __init__(self, network: Network, numbers: range, graph: LayerGraphs, watch: Watch | None) -> None:
        self.network, self.numbers, self.graph, self.watch = network, numbers, graph, watch
        self.random_state = network.masks.state()
        self.buffers: Buffers | None = None

    def __call__(self, *state: Tensor) -> State:
        if self.buffers is None:
            before = Buffers(self.network)
            state = _layers(self.network, self.numbers, state, self.graph, self.watch)
            self.buffers = before.drop_constants()
            return state
        with recomputing(self.network.masks, self.random_state, self.buffers):
            return _layers(self.network, self.numbers, state, self.graph, None)


def states(network: Network, x: Features, graph: LayerGraphs) -> Iterator[Tensor]:
    """The measured state before the first layer and after each, one at a time."""
    state, graph = network.encode(x, graph)
    yield state[0]
    for number in range(network.depth):
        state = network.layer(number, state, graph.at(number))
        yield state[0]


def without_layer(network: Network, x: Features, graph: LayerGraphs, cut: int) -> Tensor:
    """Outputs with layer `cut` replaced by the identity on the measured state, to test whether the layer is idle.

    Raises:
        ValueError: the layer changes the number of channels, or layers cannot be run one by one.
    """
    if not network.has_layers:
        raise ValueError(f"layer {cut} cannot be cut: the layers of {type(network).__name__} cannot be run one by one")
    state, graph = network.encode(x, graph)
    for number in range(network.depth):
        new = network.layer(number, state, graph.at(number))
        if number == cut and new[0].shape != state[0].shape:
            raise ValueError(f"layer {cut} cannot be cut: it maps {state[0].shape[-1]} channels to {new[0].shape[-1]}")
        state = (state[0], *new[1:]) if number == cut else new
    return network.decode(state)


# Graphs that do not fit in memory ------------------------------------------------------------------------------------


@torch.no_grad()
def by_blocks(network: Network, graph: LargeGraph, device: torch.device | str = "cpu", rows: int = ROWS) -> Tensor:
    """Outputs of all nodes, equal to a full-graph pass, computed layer by layer in blocks of rows.

    Memory holds one block at a time: its rows of P, their states and those of their neighbours. States are stored in
    unnamed temporary files, which are deleted when they are closed; a tensor that a layer passes on unchanged is not
    written again. This is the layer-wise inference of GraphSAGE's mini-batch implementations, with all neighbours.

    Args:
        network: in evaluation mode; `works_by_blocks` has to hold for it.
        graph: its folder `scratch` has to exist.
        device: device of the network; the outputs are on the device of the graph.
        rows: rows per block.

    Raises:
        OSError: the disk has no room for a state.
    """
    nodes = graph.neighbours.num_nodes
    parts = _parts(nodes, rows)
    reserve = functools.partial(_reserved, graph)
    state = _assembled(reserve, parts, (), ((_encoded(network, graph.x[part].to(device)), ()) for part in parts))
    for number in range(network.depth):
        blocks = (graph.neighbours.block(part.start, part.stop) for part in parts)
        made = (_block(network, number, state, block, nodes, device) for block, nodes in blocks)
        state = _assembled(reserve, parts, state, made)
    outputs = (network.decode(tuple(entry[part].to(device) for entry in state)) for part in parts)
    return torch.cat([output.to(graph.y.device) for output in outputs])


def _parts(nodes: int, rows: int) -> list[slice]:
    return [slice(start, min(start + rows, nodes)) for start in range(0, nodes, rows)]


def _encoded(network: Network, x: Tensor) -> State:
    """The first state of some nodes, computed without a graph."""
    no_graph: Any = object()
    state, graph = network.encode(x, no_graph)
    if graph is not no_graph:
        raise ValueError("encode returns another graph, so it cannot run in blocks of rows")
    return state


def _block(
    network: Network, number: int, state: State, block: Adjacency, nodes: Tensor, device: torch.device | str
) -> tuple[State, State]:
    """The next state for the rows of a block, and the input tensors at its columns."""
    entries = tuple(entry[nodes].to(device) for entry in state)
    return network.layer(number, entries, block.to(device)), entries


def _assembled(
    reserve: Callable[[torch.Size], Tensor], parts: list[slice], state: State, blocks: Iterable[tuple[State, State]]
) -> State:
    """The next state: new tensors (n, channels), or the tensors of `state` that the layer did not change.

    Args:
        reserve: allocates a tensor with one row of these channels per node.
        parts: the rows of every block.
        state: the input of the layer.
        blocks: for each block its next state, and the tensors of `state` that it was computed from.
    """
    entries: list[Tensor] = []
    for part, (made, given) in zip(parts, blocks, strict=True):
        if not entries:
            known = {entry.data_ptr(): tensor for entry, tensor in zip(given, state, strict=True)}
            for rows in made:
                if rows.data_ptr() not in known:
                    known[rows.data_ptr()] = reserve(rows.shape[1:])
                entries.append(known[rows.data_ptr()])
            new = [entry if all(entry is not old for old in state) else None for entry in entries]
        for target, rows in zip(new, made, strict=True):
            if target is not None:
                target[part] = rows
    return tuple(entries)


def _reserved(graph: LargeGraph, channels: torch.Size) -> Tensor:
    """A memory-mapped state in a file with its disk space allocated: in a sparse file, writing to a page on a full disk
    kills the process (SIGBUS)."""
    file = tempfile.TemporaryFile(dir=graph.scratch)  # noqa: SIM115 - lives as long as the tensor
    shape = (graph.neighbours.num_nodes, *channels)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
        except OSError as error:
            error.filename = str(graph.scratch)  # the temporary file has no name
            raise
    return torch.from_numpy(np.memmap(file, np.float32, mode="w+", shape=shape))


def works_by_blocks(network: Network, in_channels: int) -> bool:
    """Whether `by_blocks` and `forward` agree, tested layer by layer with random weights and states on a ring of nodes.

    They do if a layer propagates once and mixes nodes in no other way. PairNorm and multi-stage solvers do not.
    """
    if not network.has_layers:
        return False
    try:
        with torch.no_grad():
            return _same_by_blocks(randomized(network, seed=0).eval(), in_channels)
    except ERRORS:  # wrong shapes, or `encode` needs the graph
        return False


def _same_by_blocks(network: Network, in_channels: int) -> bool:
    x = torch.randn(NODES, in_channels, generator=torch.Generator().manual_seed(0))
    neighbours, parts = Neighbours.of(ring(), NODES), _parts(NODES, NODES // 2 - 1)
    blocks = [neighbours.block(part.start, part.stop) for part in parts]
    graph = neighbours.induced(torch.arange(NODES))

    def reserve(channels: torch.Size) -> Tensor:  # in memory: a thousand layers of files take ten seconds
        return torch.empty(NODES, *channels)

    state, by_layer = network.encode(x, graph)
    if not same(_assembled(reserve, parts, (), ((_encoded(network, x[part]), ()) for part in parts)), state):
        return False
    for number in range(network.depth):
        entering = random_state(state, number)
        by_block = (_block(network, number, entering, block, nodes, "cpu") for block, nodes in blocks)
        made = _assembled(reserve, parts, entering, by_block)
        state = network.layer(number, entering, by_layer.at(number))
        if not same(made, state):
            return False
    last = random_state(state, network.depth)
    outputs = [network.decode(tuple(entry[part] for entry in last)) for part in parts]
    return same([torch.cat(outputs)], [network.decode(last)])

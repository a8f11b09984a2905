"""What is derived from the layers of a network: watching, recomputation, inference in blocks of rows, cutting."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.nn.network import Features, LayerGraphs, Network, State
from depthlab.ops import recomputing

Watch = Callable[[int, Tensor], None]  # (l, the measured entry of state l), l = 0..depth
ROWS = 1 << 14  # of a block
PROBE = 12  # nodes of the graph on which blocks are tried


def run(
    network: Network, x: Features, graph: LayerGraphs, watch: Watch | None = None, every: int | None = None
) -> Tensor:
    """Outputs (n, out_channels), as `network.forward` gives them.

    Args:
        x: features (n, in_channels).
        watch: is shown every state, from the one that enters the first layer on; in training after dropout, if an
            architecture has it there.
        every: keep only the state before every so many layers for the backward pass, which recomputes the others (Chen
            et al. 2016, https://arxiv.org/abs/1604.06174); None keeps all.
    """
    if watch is None and (out := network.fused(x, graph, every or 1)) is not None:
        return out
    state, graph = network.encode(x, graph)
    if watch:
        watch(0, state[0])
    length = every if every and torch.is_grad_enabled() else network.depth
    for first in range(0, network.depth, length):
        numbers = range(first, min(first + length, network.depth))
        if numbers.stop == network.depth:  # the backward pass begins there: all of it is kept
            state = _layers(network, numbers, state, graph, watch)
        else:
            segment = _Segment(network, numbers, graph, watch)
            state = checkpoint(segment, *state, use_reentrant=False, preserve_rng_state=False)
    return network.decode(state)


def _layers(network: Network, numbers: range, state: State, graph: LayerGraphs, watch: Watch | None) -> State:
    for number in numbers:
        state = network.layer(number, state, graph.at(number))
        if watch:
            watch(number + 1, state[0])
    return state


class _Segment:
    """Some layers in a row; every call after the first is a recomputation."""

    def __init__(self, network: Network, numbers: range, graph: LayerGraphs, watch: Watch | None) -> None:
        self.network, self.numbers, self.graph, self.watch = network, numbers, graph, watch
        self.random_state, self.seen = network.masks.state(), False

    def __call__(self, *state: Tensor) -> State:
        if not self.seen:
            self.seen = True
            return _layers(self.network, self.numbers, state, self.graph, self.watch)
        norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm1d)]
        with recomputing(self.network.masks, self.random_state, norms):
            return _layers(self.network, self.numbers, state, self.graph, None)


def states(network: Network, x: Features, graph: LayerGraphs) -> Iterator[Tensor]:
    """The measured state before the first layer and after each, one at a time."""
    state, graph = network.encode(x, graph)
    yield state[0]
    for number in range(network.depth):
        state = network.layer(number, state, graph.at(number))
        yield state[0]


def without_layer(network: Network, x: Features, graph: LayerGraphs, cut: int) -> Tensor:
    """Outputs where the measured state passes layer `cut` unchanged: is that layer idle?

    Raises:
        ValueError: the layer changes the number of channels.
    """
    state, graph = network.encode(x, graph)
    for number in range(network.depth):
        new = network.layer(number, state, graph.at(number))
        if number == cut and new[0].shape != state[0].shape:
            raise ValueError(f"layer {cut} leads from {state[0].shape[-1]} channels to {new[0].shape[-1]}")
        state = (state[0], *new[1:]) if number == cut else new
    return network.decode(state)


# Graphs that do not fit in memory ------------------------------------------------------------------------------------


@torch.no_grad()
def by_blocks(network: Network, graph: LargeGraph, device: torch.device | str = "cpu", rows: int = ROWS) -> Tensor:
    """Outputs of all nodes, as one pass over the whole graph gives them: layer by layer, in blocks of rows.

    In memory are the rows of P and of every state of one block at a time, and the states of their neighbours. States
    lie in files without a name, which are gone when nothing reads them any more; an entry that a layer passes on is not
    written again. The same idea as the layer-wise inference of GraphSAGE's mini-batch implementations, with no
    neighbour left out.

    Args:
        network: in evaluation mode, one of which `works_by_blocks` is true.
        graph: with an existing folder `scratch`.
        device: that the network is on; the outputs are where the graph is.
        rows: of a block.

    Raises:
        OSError: there is no room for a state.
    """
    nodes = graph.neighbours.num_nodes
    parts = [slice(start, min(start + rows, nodes)) for start in range(0, nodes, rows)]
    state = _on_disk(graph, parts, (), ((_encoded(network, graph.x[part].to(device)), ()) for part in parts))
    for number in range(network.depth):
        state = _on_disk(graph, parts, state, (_block(network, number, state, graph, p, device) for p in parts))
    outputs = (network.decode(tuple(entry[part].to(device) for entry in state)) for part in parts)
    return torch.cat([output.to(graph.y.device) for output in outputs])


def _encoded(network: Network, x: Tensor) -> State:
    """The first state of some nodes, made without a graph."""
    no_graph: Any = object()
    state, graph = network.encode(x, no_graph)
    if graph is not no_graph:
        raise ValueError("encode makes a graph of its own")
    return state


def _block(
    network: Network, number: int, state: State, graph: LargeGraph, part: slice, device: torch.device | str
) -> tuple[State, State]:
    """The next state of some nodes, and the entries it was made of."""
    block, nodes = graph.neighbours.block(part.start, part.stop)
    entries = tuple(entry[nodes].to(device) for entry in state)
    return network.layer(number, entries, block.to(device)), entries


def _on_disk(graph: LargeGraph, parts: list[slice], state: State, blocks: Iterable[tuple[State, State]]) -> State:
    """The next state, entries (n, channels) that are memory-mapped or, where a layer passed them on, those of `state`.

    Args:
        state: before the layer.
        blocks: of every part the next state and the entries of `state` it was made of.
    """
    entries: list[Tensor] = []
    for part, (made, given) in zip(parts, blocks, strict=True):
        if not entries:
            known = {entry.data_ptr(): whole for entry, whole in zip(given, state, strict=True)}
            for rows in made:
                if rows.data_ptr() not in known:
                    known[rows.data_ptr()] = _reserved(graph, rows.shape[1:])
                entries.append(known[rows.data_ptr()])
            new = [entry if all(entry is not old for old in state) else None for entry in entries]
        for target, rows in zip(new, made, strict=True):
            if target is not None:
                target[part] = rows
    return tuple(entries)


def _reserved(graph: LargeGraph, channels: torch.Size) -> Tensor:
    """A memory-mapped state with room on the disk for all of it: a page of a sparse file that cannot be written kills
    the process (SIGBUS)."""
    file = tempfile.TemporaryFile(dir=graph.scratch)  # noqa: SIM115 - lives as long as the tensor
    shape = (graph.neighbours.num_nodes, *channels)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
        except OSError as error:
            error.filename = str(graph.scratch)  # the file itself has no name
            raise
    return torch.from_numpy(np.memmap(file, np.float32, mode="w+", shape=shape))


def works_by_blocks(network: Network, in_channels: int) -> bool:
    """Whether `by_blocks` gives what `forward` gives, tried on a ring of nodes.

    It does where a layer propagates once and mixes nodes in no other way, as PairNorm and solvers of several stages do.
    """
    ring = torch.arange(PROBE)
    edges = torch.stack([torch.cat([ring, ring]), torch.cat([ring.roll(1), ring.roll(-1)])])
    edges = edges[:, (edges[0] * PROBE + edges[1]).argsort()]
    x = torch.randn(PROBE, in_channels, generator=torch.Generator().manual_seed(0))
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            graph = LargeGraph(x, Neighbours.of(edges, PROBE), ring, ring[:0], ring[:0], ring[:0], Path(folder))
            whole = network(x.to(device), graph.adjacency.to(device)).cpu()
            return torch.allclose(by_blocks(network, graph, device, PROBE // 2 - 1), whole, rtol=1e-3, atol=1e-5)
    except (ValueError, RuntimeError, IndexError, AttributeError):  # shapes do not fit, or it needs a graph to begin
        return False
    finally:
        network.train(was_training)

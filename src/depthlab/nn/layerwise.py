"""Exact inference on a graph that does not fit in memory: one layer after the other, some rows at a time."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from depthlab.graph.large import LargeGraph
from depthlab.ops import product

ROWS = 1 << 14  # of P and of the states that are worked on together


@runtime_checkable
class Layerwise(Protocol):
    """An architecture whose layers read P only through the product P H, without dropout.

    H^(0) = encode(X), H^(l) = layer(l, P H^(l-1), H^(l-1), H^(0)), logits = decode(H^(L)), each for any rows of these.
    """

    def encode(self, x: Tensor) -> Tensor: ...

    def layer(self, number: int, gathered: Tensor, own: Tensor, first: Tensor) -> Tensor: ...

    def decode(self, state: Tensor) -> Tensor: ...


@torch.no_grad()
def infer(model: Layerwise, graph: LargeGraph, depth: int, device: torch.device | str = "cpu") -> Tensor:
    """Logits of all nodes, (n, classes), as one pass over the whole graph gives them.

    In memory are `ROWS` rows of P and of every state at a time; the first state, that before a layer and that after it
    lie in files without a name, which are gone when nothing reads them any more. The same idea as the layer-wise
    inference of GraphSAGE's mini-batch implementations, with no neighbour left out.

    Args:
        model: in evaluation mode.
        graph: with an existing folder `scratch`.
        depth: number of layers L >= 1.
        device: that the model is on; products with P are made where the graph is, and so are the logits.
    """
    nodes = graph.neighbours.num_nodes
    parts = [slice(start, min(start + ROWS, nodes)) for start in range(0, nodes, ROWS)]
    first = state = _on_disk(graph, ((part, model.encode(graph.x[part].to(device))) for part in parts))
    for number in range(1, depth + 1):
        state = _on_disk(graph, _layer(model, number, graph, parts, state, first, device))
    return torch.cat([model.decode(state[part].to(device)).to(graph.y.device) for part in parts])


def _layer(
    model: Layerwise,
    number: int,
    graph: LargeGraph,
    parts: list[slice],
    state: Tensor,
    first: Tensor,
    device: torch.device | str,
) -> Iterator[tuple[slice, Tensor]]:
    for part in parts:
        gathered = product(graph.neighbours.block(part.start, part.stop), state)
        yield part, model.layer(number, gathered.to(device), state[part].to(device), first[part].to(device))


def _on_disk(graph: LargeGraph, made: Iterable[tuple[slice, Tensor]]) -> Tensor:
    """A state (n, channels) of these rows, memory-mapped.

    Raises:
        OSError: there is no room for it.
    """
    state: Tensor | None = None
    for part, rows in made:
        if state is None:
            file = tempfile.TemporaryFile(dir=graph.scratch)  # noqa: SIM115 - lives as long as the tensor
            shape = (graph.neighbours.num_nodes, rows.shape[1])
            _reserve(file.fileno(), 4 * shape[0] * shape[1], graph.scratch)
            state = torch.from_numpy(np.memmap(file, np.float32, mode="w+", shape=shape))
        state[part] = rows
    assert state is not None, "a graph has nodes"
    return state


def _reserve(file: int, size: int, folder: Path) -> None:
    """Room on the disk for all of a file: a page of a sparse one that cannot be written kills the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            error.filename = str(folder)  # the file itself has no name
            raise

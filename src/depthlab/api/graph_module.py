"""Find the graph network in a LightningModule, and the edges in its arguments."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.utils import remove_self_loops, to_undirected

from depthlab.config.errors import UserError
from depthlab.nn.observe import layers_of

WITHOUT_FORWARD = (nn.ModuleList, nn.ModuleDict)


def graph_network(pl_module: nn.Module, module: str | nn.Module | None, layers: str | None) -> nn.Module:
    """The network to monitor.

    Raises:
        UserError: there is no such module, or it has no message-passing layers.
    """
    if isinstance(module, nn.Module):
        layers_of(module, layers)
        return module
    if module is not None:
        names = [name for name, _ in pl_module.named_modules() if name]
        if module not in names:
            known = ", ".join(name for name in names if "." not in name)
            raise UserError(f"{type(pl_module).__name__} has no module {module}: choose one of {known or 'none'}")
        found = pl_module.get_submodule(module)
        layers_of(found, layers)
        return found
    inner = layers_of(pl_module, layers)
    paths = [name.split(".") for name, part in pl_module.named_modules() if any(part is layer for layer in inner)]
    common = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if len(paths) == 1 and common:  # the layer itself
        common.pop()
    while common and isinstance(pl_module.get_submodule(".".join(common)), WITHOUT_FORWARD):
        common.pop()
    return pl_module.get_submodule(".".join(common))


def find_edges(value: Any) -> Iterator[Tensor]:
    """Find edges (2, m) in arguments: an integer matrix with two rows, `edge_index` of a graph, or a sparse matrix."""
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            yield value.to_sparse_coo().coalesce().indices()
        elif value.dtype == torch.long and value.dim() == 2 and value.shape[0] == 2:
            yield value
    elif isinstance(value, Mapping) and not hasattr(value, "edge_index"):
        for item in value.values():
            yield from find_edges(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from find_edges(item)
    elif isinstance(getattr(value, "edge_index", None), Tensor):
        yield value.edge_index


class UndirectedEdges:
    """A cache of the undirected edges of the last graph, for the next measurement."""

    def __init__(self) -> None:
        self._given = self._made = torch.empty(2, 0, dtype=torch.long)

    def undirected(self, edge_index: Tensor, num_nodes: int) -> Tensor:
        same = self._given.device == edge_index.device and torch.equal(self._given, edge_index)
        if not same or not self._given.numel():
            self._given = edge_index.detach().clone()
            self._made = to_undirected(remove_self_loops(edge_index)[0], num_nodes=num_nodes)
        return self._made

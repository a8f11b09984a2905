"""One training step on Cora: ours, the same network of PyG's layers, and the floor under both."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import gcnii_floor, peer_of
from depthlab.config.compose import compose_settings
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures
from depthlab.training.allocator import keep_freed_blocks, tune_allocator
from depthlab.training.experiment import Experiment, experiment
from depthlab.training.fit import quiet_libraries
from depthlab.training.module import TrainingModule


def our_step(model: TrainingModule, graph: Graph) -> Callable[[], None]:
    """One optimiser step, exactly what Lightning drives."""
    optimizer = model.configure_optimizers()
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()

    return step


def pyg_step(model: nn.Module, graph: Graph) -> Callable[[], None]:
    """One optimiser step of the peer, with dense features."""
    assert isinstance(graph.x, SparseFeatures)
    x, edge_index = graph.x.to_dense(), graph.edge_index
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4, fused=True)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x, edge_index)[graph.train], graph.y[graph.train]).backward()
        optimizer.step()

    return step


def ours(name: str, depth: int, hidden: int) -> Callable[[], None]:
    """Our step of the network `name`, with the heap that a run of it has."""
    made = network(name, depth, hidden)
    tune_allocator(made.module, made.graph.num_nodes, "auto")
    return our_step(made.module, made.graph)


def pyg(name: str, depth: int, hidden: int, keep_heap: bool) -> Callable[[], None]:
    """PyG's step of it, with the heap that the C library has by itself, or with freed blocks kept as in our runs."""
    made = network(name, depth, hidden)
    if keep_heap:
        keep_freed_blocks()
    settings, graph = made.settings, made.graph
    sizes = (graph.x.shape[1], made.module.task.outputs, depth, settings.hidden, settings.dropout)
    return pyg_step(peer_of(name, sizes, settings.model.arguments), graph)


def floor(depth: int, hidden: int) -> Callable[[], None]:
    """The products of a step of GCNII, with freed blocks kept."""
    graph = network("gcnii", depth, hidden).graph
    keep_freed_blocks()
    return gcnii_floor(graph, depth, hidden)


def network(name: str, depth: int, hidden: int) -> Experiment:
    """A network on Cora that keeps what its layers make."""
    quiet_libraries()
    return experiment(compose_settings([f"model={name}", f"depth={depth}", f"hidden={hidden}", "memory=full"]))

"""One training step on Cora: ours, the same network of PyG's layers, and the floor under both."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import gcnii_floor, peer_of
from depthlab.config.settings import compose_settings
from depthlab.data.prepare import load
from depthlab.data.rewire import make_batches
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures
from depthlab.tasks.task import Classification
from depthlab.training.build import build_model
from depthlab.training.fit import quiet_libraries
from depthlab.training.memory import keep_freed_blocks, suit_heap
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
    settings, graph, classes = task(name, depth, hidden)
    model = build_model(settings, graph, Classification("acc", ("acc",), classes))
    suit_heap(model, graph.num_nodes, "auto")
    return our_step(model, graph)


def pyg(name: str, depth: int, hidden: int, kept: bool) -> Callable[[], None]:
    """PyG's step of it, with the heap that the C library has by itself, or freed blocks `kept` as ours are."""
    settings, graph, classes = task(name, depth, hidden)
    if kept:
        keep_freed_blocks()
    sizes = (graph.x.shape[1], classes, depth, settings["hidden"], settings["dropout"])
    return pyg_step(peer_of(name, sizes, settings["model"]), graph)


def floor(depth: int, hidden: int) -> Callable[[], None]:
    """The products of a step of GCNII, with freed blocks kept."""
    _, graph, _ = task("gcnii", depth, hidden)
    keep_freed_blocks()
    return gcnii_floor(graph, depth, hidden)


def task(name: str, depth: int, hidden: int) -> tuple[dict[str, Any], Graph, int]:
    """Settings, graph and number of classes of a network on Cora that keeps what its layers make."""
    quiet_libraries()
    settings = compose_settings([f"model={name}", f"depth={depth}", f"hidden={hidden}", "memory=full"])
    dataset, _ = load(settings["dataset"])
    return settings, make_batches(settings, dataset).probe, int(dataset.y.max()) + 1

"""One training step on Cora: ours, the same network of PyG's layers, and the products of GCNII alone."""

import os
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import gcnii_floor, operator_of, peer_of
from benchmarks.timing import UnavailableError
from depthlab import compiler
from depthlab.config.compose import compose_settings
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures
from depthlab.training.allocator import keep_freed_blocks, tune_allocator
from depthlab.training.experiment import Experiment, experiment
from depthlab.training.fit import quiet_libraries
from depthlab.training.module import TrainingModule

MakeStep = Callable[[], Callable[[], None]]
COMPILED_LAYERS = 16  # torch.compile takes minutes for more layers with edges
KEPT_LAYERS = 512  # states of more layers take gigabytes, and too many processes would hold them


def our_step(model: TrainingModule, graph: Graph) -> Callable[[], None]:
    """One optimiser step, exactly what Lightning drives."""
    optimizer = model.configure_optimizers()
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()

    return step


def pyg_step(name: str, made: Experiment, csr: bool, compiled: bool) -> Callable[[], None]:
    """One optimiser step of the peer of a network, with dense features.

    Raises:
        UnavailableError: torch does not compile it here, or it takes no CSR matrix.
    """
    settings, graph = made.settings, made.graph
    x, operator = graph.x, operator_of(name, graph, csr)
    x = x.to_dense() if isinstance(x, SparseFeatures) else x
    sizes = (x.shape[1], made.module.task.outputs, settings.depth, settings.hidden, settings.dropout)
    model = peer_of(name, sizes, settings.model.arguments).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4, fused=True)
    network: nn.Module = torch.compile(model) if compiled else model  # type: ignore[assignment]

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x, *operator)[graph.train], graph.y[graph.train]).backward()
        optimizer.step()

    if compiled:
        try:
            step()
        except Exception as error:  # of torch, of its code generators or of the C++ compiler
            raise UnavailableError(
                f"torch.compile: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
            ) from None
    return step


def ours(name: str, depth: int, hidden: int, kernel: str) -> Callable[[], None]:
    """Our step of the network `name`, with the heap that a run of it has.

    Args:
        kernel: `auto` for compiled layers, `plain` for torch's operations.

    Raises:
        UnavailableError: there are no compiled layers.
    """
    os.environ[compiler.KERNEL] = kernel
    made = network(name, depth, hidden)
    path = compiler.path_taken(made.settings.targets)
    if kernel == "auto" and path in (None, "plain"):
        why = f"{name} has no compiled layers" if path is None else "no C++ compiler makes the compiled layers here"
        raise UnavailableError(why)
    tune_allocator(made.module, made.graph.num_nodes, "auto")
    return our_step(made.module, made.graph)


def pyg(
    name: str, depth: int, hidden: int, *, keep_heap: bool = True, csr: bool = False, compiled: bool = False
) -> Callable[[], None]:
    """PyG's step of it, with the heap that the C library has by itself, or with freed blocks kept as in our runs.

    Args:
        csr: propagate by a CSR matrix instead of `edge_index` with weights.
        compiled: by `torch.compile`.

    Raises:
        UnavailableError: there is no such peer, or it needs too much memory beside the others.
    """
    if keep_heap and depth > KEPT_LAYERS and (compiled or not csr):
        raise UnavailableError(
            f"left out beyond {KEPT_LAYERS} layers, since all of these together need too much memory"
        )
    made = network(name, depth, hidden)
    if keep_heap:
        keep_freed_blocks()
    return pyg_step(name, made, csr, compiled)


def floor(depth: int, hidden: int) -> Callable[[], None]:
    """The products of a step of GCNII, with freed blocks kept."""
    graph = network("gcnii", depth, hidden).graph
    keep_freed_blocks()
    return gcnii_floor(graph, depth, hidden)


def left_out(compile_up_to: int) -> Callable[[], None]:
    """Raise UnavailableError: a network is too deep for torch.compile."""
    raise UnavailableError(f"left out beyond {compile_up_to} layers, which torch.compile takes minutes for")


def sides(name: str, depth: int, hidden: int, compile_up_to: int) -> dict[str, MakeStep]:
    """All that a network is timed by: two of ours, five of PyG's, and for GCNII the products alone.

    Args:
        compile_up_to: layers up to which torch compiles the peer with edges.
    """
    size = (name, depth, hidden)
    deep = partial(left_out, compile_up_to)
    made: dict[str, MakeStep] = {
        "compiled": partial(ours, *size, "auto"),
        "plain": partial(ours, *size, "plain"),
        "edges": partial(pyg, *size, keep_heap=False),
        "edges, heap kept": partial(pyg, *size),
        "CSR": partial(pyg, *size, csr=True),
        "edges, torch.compile": partial(pyg, *size, compiled=True) if depth <= compile_up_to else deep,
        "CSR, torch.compile": partial(pyg, *size, csr=True, compiled=True),
    }
    return made | ({"products": partial(floor, depth, hidden)} if name == "gcnii" else {})


def network(name: str, depth: int, hidden: int) -> Experiment:
    """A network on Cora that keeps what its layers make."""
    quiet_libraries()
    return experiment(compose_settings([f"model={name}", f"depth={depth}", f"hidden={hidden}", "memory=full"]))

"""Estimate the memory of a training step, and choose whether layers are recomputed."""

import math
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import psutil
import torch
from hydra.utils import get_class
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from depthlab.config.errors import ReplicasError, UserError
from depthlab.config.schema import Settings, TrainerSettings
from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.batches import Batches
from depthlab.graph.graph import Graph
from depthlab.nn.execution import run, states
from depthlab.nn.network import Network
from depthlab.ops import SparseFeatures
from depthlab.ops.checkpointing import segment_length
from depthlab.tasks.task import Task
from depthlab.training.build import build_model, make_network
from depthlab.training.module import TrainingModule
from depthlab.training.ranks import local_rank

SHALLOW = (4, 6)  # depths of the networks whose memory is measured
NARROW = (16, 32)  # channels of the networks that show how the width of states depends on `hidden`
AT_WORK = 6  # temporary tensors of the size of a state in a layer, forwards or backwards
PER_WEIGHT = 4  # gradient, two moments of Adam, the best weights so far
HOLES = 3.3  # measured size of the heap over the estimate, above 5 MB: GCNII 2.5, GCN 3.3 (benchmarks.cost)
MAPPED_HOLES = 1.4  # the same with freed blocks unmapped: GCNII with recomputed layers 1.34 (benchmarks.memory)
PER_ENTRY = 40  # bytes of an adjacency per entry
FEW = 1 << 20  # weights, up to which the meta device takes longer: torch imports SymPy for it, 0.6 s
FITS = 0.8  # share of the free memory that a step may use


def decide_memory(settings: Settings, batches: Batches, task: Task) -> Settings:
    """The settings with `memory=auto` replaced by `full` if a training step fits into the free memory, else by
    `checkpoint`. Other values are not changed. For model=module, `auto` means `full`, because its layers cannot be
    recomputed.

    Raises:
        UserError: neither fits.
    """
    if settings.memory != "auto":
        return settings
    if settings.model.module:
        return replace(settings, memory="full")
    graph = batches.largest
    free = free_for(settings.trainer)
    smaller = "depth or hidden" if len(batches) == 1 else "depth, hidden or batch"
    if (least := least_memory(settings, graph, task)) > FITS * free:  # without allocating a network
        raise UserError(
            f"a training step needs at least {_gigabytes(least)} of memory, {_gigabytes(free)} are free:"
            f" use a smaller {smaller}"
        )
    needs = estimate_memory(settings, graph, task)
    for memory, need in needs.items():
        holes = HOLES if memory == "full" else MAPPED_HOLES
        if holes * need + _measuring(graph) <= FITS * free:
            return replace(settings, memory=memory)
    memory = min(needs, key=lambda name: needs[name])
    need = needs[memory] + _measuring(graph)
    alternatives = (
        ["model=revgcn"] if needs["checkpoint"] < needs["full"] else []
    )  # otherwise the network already recomputes
    alternatives += [f"memory={memory} to try it all the same"] if need <= free else []
    raise UserError(
        f"a training step needs about {_gigabytes(need)} of memory, {_gigabytes(free)} are free: "
        + ", or ".join([f"use a smaller {smaller}", *alternatives])
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"


def least_memory(settings: Settings, graph: Graph, task: Task) -> int:
    """Lower bound of the bytes of a training step: weights, gradients and moments, and temporary states. No weights
    are allocated.
    """
    states = AT_WORK * 4 * graph.num_nodes * _channels(settings, graph.x.shape[1], task)
    return PER_WEIGHT * weight_bytes(settings, graph, task) + states


def _channels(settings: Settings, features: int, task: Task) -> int:
    """Number of channels of the state after the first layer, extrapolated linearly in `hidden` from networks of few
    channels on one node; 0 for a single layer.
    """
    if settings.depth == 1:
        return 0
    node, widths = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 1), []
    for hidden in NARROW:
        network = make_network(replace(settings, depth=2, hidden=hidden), features, task.outputs).eval()
        with torch.no_grad():
            first, *_ = islice(states(network, torch.zeros(1, features), node), 1, None)
        widths.append(first.shape[1])
    slope = (widths[1] - widths[0]) / (NARROW[1] - NARROW[0])
    return round(widths[0] + slope * (settings.hidden - NARROW[0]))


def weight_bytes(settings: Settings, graph: Graph, task: Task) -> int:
    """Bytes of the weights, without allocating them; assumed to be linear in depth."""

    def at(depth: int) -> int:
        return sum(parameter.nbytes for parameter in _unmade(settings, graph, task, depth).parameters())

    depth, (first, last) = settings.depth, SHALLOW
    return at(depth) if depth <= last else at(first) + (at(last) - at(first)) // (last - first) * (depth - first)


def _unmade(settings: Settings, graph: Graph, task: Task, depth: int) -> Network:
    """The network on the meta device, without memory for its weights; in memory if they are few."""
    get_class(settings.model.target)  # import first: tensors created during an import must not be on the meta device
    few = settings.hidden * (graph.x.shape[1] + depth * settings.hidden) <= FEW
    with torch.device("cpu" if few else "meta"):
        return make_network(replace(settings, depth=depth), graph.x.shape[1], task.outputs)


def estimate_memory(settings: Settings, graph: Graph, task: Task) -> dict[str, int]:
    """Bytes at the peak of a training step beyond graph and weights, by value of `memory`.

    Two shallow networks give the bytes that a layer stores for the backward pass, which are assumed to be the same at
    every depth.
    """
    depths = SHALLOW if settings.depth > SHALLOW[1] else (settings.depth,)
    probes = [_Probe(replace(settings, depth=depth, memory="full"), graph, task) for depth in depths]

    def at_depth(name: str) -> tuple[float, float]:
        """Intercept and slope over depth."""
        first, last = getattr(probes[0], name), getattr(probes[-1], name)
        slope = (last - first) / (depths[-1] - depths[0]) if len(depths) > 1 else first / depths[0]
        return first - slope * depths[0], slope

    depth, state = settings.depth, probes[-1].state
    (outside, layer), (base_weight, weight) = (at_depth(name) for name in ("stored", "weights"))
    length = segment_length(depth)
    samples = probes[-1].sample * (depth if settings.drop_edge.per_layer else 1)
    always = outside + PER_WEIGHT * (base_weight + weight * depth) + samples + AT_WORK * state
    checkpoint = layer * length + probes[-1].passed * math.ceil(depth / length)
    needs = {"full": always + layer * depth, "checkpoint": always + checkpoint}
    return {memory: round(need) for memory, need in needs.items()}


class _Probe:
    """Memory of the forward pass of a shallow network.

    Attributes:
        stored: bytes stored for the backward pass, without those of graph and weights.
        weights: bytes of the weights.
        state: bytes of the largest state.
        passed: bytes of new tensors that a layer passes to the next one.
        sample: bytes of an adjacency with dropped edges.
    """

    def __init__(self, settings: Settings, graph: Graph, task: Task) -> None:
        depth = settings.depth
        graph = replace(graph, depth=depth)  # since the last layer may have its own graph
        model = build_model(settings, graph, task).train()
        network = model.network
        self.weights = sum(p.nbytes for p in model.parameters())
        storages = dict[int, int]()
        graphs = model.training_graph(graph, 0)

        def keep(tensor: Tensor) -> Tensor:
            if tensor.layout == torch.strided:
                storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor.detach()  # its autograd graph would refer to itself and never be freed

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            out = run(network, graph.x, graphs)
        for tensor in _held(model, graph):
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        del out
        self.stored = sum(storages.values())
        self.state, self.passed = _state_sizes(network, graph)
        self.sample = 0
        if settings.p_drop > 0:
            values = graph.adjacency.values.nbytes
            self.sample = values if graph.adjacency.symmetric else 2 * values


@torch.no_grad()
def _state_sizes(network: Network, graph: Graph) -> tuple[int, int]:
    """Bytes of the largest state after a layer, and of new tensors that a layer passes on."""
    state, graphs = network.encode(graph.x, graph.layers)
    largest = passed = 0
    for number in range(network.depth):
        given = {entry.data_ptr() for entry in state if isinstance(entry, Tensor)}
        state = network.layer(number, state, graphs.at(number))
        largest = max(largest, state[0].nbytes)
        new = {entry.data_ptr(): entry.nbytes for entry in state}
        passed = passed or sum(size for pointer, size in new.items() if pointer not in given)
    return largest, passed


def _held(model: TrainingModule, graph: Graph) -> list[Tensor]:
    adjacencies = [a for a in (graph.adjacency, graph.last) if isinstance(a, Adjacency)]
    graph_tensors = [tensor for a in adjacencies for tensor in (a.values, a.row, a.col, a.order, a.pair)]
    dense = [] if isinstance(graph.x, SparseFeatures) else [graph.x]
    return [*model.parameters(), *model.buffers(), *graph_tensors, *dense, graph.y, graph.train]


def _measuring(graph: Graph) -> int:
    """Bytes of gradients by layer beyond those of a training step: dense features and their gradient."""
    nodes, features = graph.x.shape
    return 2 * 4 * nodes * features


def check_memory(settings: Settings, graph: Graph, task: Task, count: int) -> None:
    """Raise ReplicasError if `count` replicas do not fit into the free memory; `memory=full` tries it."""
    if settings.memory != "auto":
        return
    adjacencies = [a for a in (graph.adjacency, graph.last) if isinstance(a, Adjacency)]
    copies = PER_ENTRY * sum(a.values.numel() for a in adjacencies)
    free, about = free_for(settings.trainer), "at least"
    need: float = count * (least_memory(settings, graph, task) + copies)
    if need <= FITS * free:
        about, need = "about", count * (HOLES * estimate_memory(settings, graph, task)["full"] + copies)
    if need > FITS * free:
        raise ReplicasError(
            f"{count} replicas need {about} {_gigabytes(need)} of memory, {_gigabytes(free)} are free: use fewer,"
            " or memory=full to try it all the same"
        )


def free_for(trainer: TrainerSettings) -> float:
    """Free bytes for a training step: those of the GPU, or this process's share of the free memory of this machine."""
    if trainer.accelerator == "gpu":
        return float(torch.cuda.mem_get_info(local_rank())[0])
    return free_memory() / trainer.devices


def free_memory() -> float:
    """Bytes that this process may still allocate on the machine and, on Linux, in its control group (a container)."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, StopIteration):
        group = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        free = min(free, _free_in(Path(f"/sys/fs/cgroup/{group[4:]}")))
    return free


def _free_in(group: Path) -> float:
    """Bytes left to a control group (version 2): the minimum over its own limit and those of its parents."""
    free = math.inf
    for folder in (group, *group.parents):
        with suppress(OSError, StopIteration):
            limit = (folder / "memory.max").read_text().strip()
            if limit != "max":
                used = int((folder / "memory.current").read_text()) - _number(folder / "memory.stat", "inactive_file")
                free = min(free, float(limit) - used)  # file pages can be dropped at any time
    return free


def _number(path: Path, name: str) -> int:
    """The number after a name in a file of `name number` lines."""
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name} "))

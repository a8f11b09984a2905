"""How much memory a training step will need, before it is taken, and which way of keeping states fits."""

import ctypes
import math
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

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

SHALLOW = (4, 6)  # depths of the networks that are looked at
NARROW = (16, 32)  # channels of networks that only show how wide states are
AT_WORK = 6  # tensors of the size of a state that a layer needs for the moment, forwards or backwards
PER_WEIGHT = 4  # gradient, two moments of Adam, the best weights so far
HOLES = 3.3  # what a heap left alone grew to, by the estimate, above 5 MB: GCNII 2.5, GCN 3.3 (benchmarks.cost)
MAPPED_HOLES = 1.4  # the same where blocks are given back: GCNII that recomputes 1.34 (benchmarks.memory)
PER_ENTRY = 40  # bytes that an adjacency holds for each of its entries
BLOCK_SIZE = 1 << 17  # bytes; larger ones are given back when they are free
SPARED = 2 << 20  # the same where states have places of their own: what a product makes in passing stays
MAPPED = 32 << 20  # bytes; glibc by itself maps larger ones anew every time
FITS = 0.8  # part of the free memory that may be asked for


def decide_memory(settings: Settings, batches: Batches, task: Task) -> Settings:
    """The settings with `memory=auto` decided: `full` where a training step fits into the free memory, else
    `checkpoint`. What was typed is taken as it is.

    Raises:
        UserError: neither fits.
    """
    if settings.memory != "auto":
        return settings
    graph = next(iter(batches))
    free = free_for(settings.trainer)
    smaller = "depth or hidden" if len(batches) == 1 else "depth, hidden or batch"
    if (least := least_memory(settings, graph, task)) > FITS * free:  # not even a shallow network is looked at
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
    others = ["model=revgcn"] if needs["checkpoint"] < needs["full"] else []  # else it recomputes by itself
    others += [f"memory={memory} to try it all the same"] if need <= free else []
    raise UserError(
        f"a training step needs about {_gigabytes(need)} of memory, {_gigabytes(free)} are free: "
        + ", or ".join([f"use a smaller {smaller}", *others])
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"


def least_memory(settings: Settings, graph: Graph, task: Task) -> int:
    """Bytes without which no training step can be, whatever is kept: weights and what belongs to them, of which none is
    made, and the states at work.
    """
    states = AT_WORK * 4 * graph.num_nodes * _channels(settings, graph.x.shape[1], task)
    return PER_WEIGHT * weight_bytes(settings, graph, task) + states


def _channels(settings: Settings, features: int, task: Task) -> int:
    """Of the state behind the first of all layers but the last, which is taken to be linear in `hidden`; none if there
    is no such layer. Seen in networks of few channels, on one node.
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
    """Bytes of the weights, of which none is made; those of a layer are taken to be the same at any depth."""

    def at(depth: int) -> int:
        return sum(parameter.nbytes for parameter in _unmade(settings, graph, task, depth).parameters())

    depth, (first, last) = settings.depth, SHALLOW
    return at(depth) if depth <= last else at(first) + (at(last) - at(first)) // (last - first) * (depth - first)


def _unmade(settings: Settings, graph: Graph, task: Task, depth: int) -> Network:
    """The network at some depth without memory for its weights."""
    get_class(settings.model.target)  # tensors that a module makes when it is imported have to be real
    with torch.device("meta"):
        return make_network(replace(settings, depth=depth), graph.x.shape[1], task.outputs)


def estimate_memory(settings: Settings, graph: Graph, task: Task) -> dict[str, int]:
    """Bytes at the peak of a training step beyond graph and weights, by value of `memory`.

    The bytes that forward passes of two shallow networks keep for their backward pass give those of a layer, which is
    taken to be the same at any depth.
    """
    depths = SHALLOW if settings.depth > SHALLOW[1] else (settings.depth,)
    looks = [_Look(replace(settings, depth=depth, memory="full"), graph, task) for depth in depths]

    def at_depth(name: str) -> tuple[float, float]:
        """What there is besides the layers, and what is added by each."""
        first, last = getattr(looks[0], name), getattr(looks[-1], name)
        slope = (last - first) / (depths[-1] - depths[0]) if len(depths) > 1 else first / depths[0]
        return first - slope * depths[0], slope

    depth, state = settings.depth, looks[-1].state
    (besides, layer), (other, weight) = (at_depth(name) for name in ("kept", "weights"))
    length = segment_length(depth)
    samples = looks[-1].sample * (depth if settings.drop_edge.per_layer else 1)
    always = besides + PER_WEIGHT * (other + weight * depth) + samples + AT_WORK * state
    checkpoint = layer * length + looks[-1].passed * math.ceil(depth / length)
    needs = {"full": always + layer * depth, "checkpoint": always + checkpoint}
    return {memory: round(need) for memory, need in needs.items()}


class _Look:
    """The forward pass of a shallow network, in bytes.

    Attributes:
        kept: for the backward pass, each storage once; those of graph and weights do not count.
        weights: of the weights.
        state: the largest state.
        passed: that a layer makes and hands on to the next.
        sample: an adjacency with edges dropped.
    """

    def __init__(self, settings: Settings, graph: Graph, task: Task) -> None:
        depth = settings.depth
        graph = replace(graph, depth=depth)  # where the last layer has a graph of its own
        model = build_model(settings, graph, task).train()
        network = model.network
        self.weights = sum(p.nbytes for p in model.parameters())
        storages = dict[int, int]()
        graphs = model.training_graph(graph, 0)

        def keep(tensor: Tensor) -> Tensor:
            if tensor.layout == torch.strided:
                storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor.detach()  # a tensor that leads back to the operation that keeps it would never be freed

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            out = run(network, graph.x, graphs)
        for tensor in _held(model, graph):
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        del out
        self.kept = sum(storages.values())
        self.state, self.passed = _state_sizes(network, graph)
        self.sample = 0
        if settings.p_drop > 0:
            values = graph.adjacency.values.nbytes
            self.sample = values if graph.adjacency.symmetric else 2 * values


@torch.no_grad()
def _state_sizes(network: Network, graph: Graph) -> tuple[int, int]:
    """Bytes of the largest state behind a layer, and of what a layer hands on that it was not given."""
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
    of_graph = [tensor for a in adjacencies for tensor in (a.values, a.row, a.col, a.order, a.pair)]
    dense = [] if isinstance(graph.x, SparseFeatures) else [graph.x]
    return [*model.parameters(), *model.buffers(), *of_graph, *dense, graph.y, graph.train]


def _measuring(graph: Graph) -> int:
    """Bytes of what gradients by layer are measured with beyond a training step: dense features, and their gradient."""
    nodes, features = graph.x.shape
    return 2 * 4 * nodes * features


def check_memory(settings: Settings, graph: Graph, task: Task, count: int) -> None:
    """Raise ReplicasError where `count` at once do not fit into the free memory; `memory=full` tries it."""
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


def suit_heap(model: TrainingModule, nodes: int, asked: str) -> None:
    """Tell the C library what to do with freed blocks, where the states of this network are better off with it.

    That is where a step makes and frees more than glibc keeps by itself: with 64 layers of GCNII on Cora it was seen to
    take twice as long without. Kept blocks leave holes: they are kept only where `memory` was `asked` to be `auto`,
    which has allowed for them.
    """
    if model.memory == "checkpoint":
        fused = type(model.network).fused is not Network.fused
        give_back_freed_blocks(SPARED if fused else BLOCK_SIZE)
    elif asked == "auto" and 4 * nodes * model.hidden * model.network.depth > MAPPED:
        keep_freed_blocks()


def keep_freed_blocks() -> None:
    """Have the C library keep what is freed from now on for the next request.

    Every step of replicas or of a deep network makes and frees tens of megabytes, and blocks of more than 32 MB are
    never kept otherwise.
    Given back, each block has to be filled with zeros by the system before it is used again: a fifth of a step of
    replicas on two cores, half of one of a GCN on 100,000 nodes with 128 channels. Elsewhere than on glibc nothing is
    done.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for largest in (MAPPED, 2**31 - 1):  # before 2.35 glibc takes no more than the first
            library.mallopt(-3, largest)  # M_MMAP_THRESHOLD
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        library.mallopt(-2, 64 << 20)  # M_TOP_PAD


def give_back_freed_blocks(size: int) -> None:
    """Have the C library map blocks of at least `size` bytes one by one from now on, and unmap each once it is free.

    Left alone, glibc puts them on its heap, where a freed block cannot serve the next aligned request of its size: the
    heap of a process that recomputes was seen to grow to 3.7 times what it held. Mapping costs time, so this is for
    networks that recompute. Elsewhere than on glibc nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(-3, size)  # M_MMAP_THRESHOLD


def free_for(trainer: TrainerSettings) -> float:
    """Bytes that a training step may take on its device: a GPU, or a share of this machine."""
    if trainer.accelerator == "gpu":
        return float(torch.cuda.mem_get_info(local_rank())[0])
    return free_memory() / trainer.devices


def free_memory() -> float:
    """Bytes that this process may still take; infinite where the system does not tell."""
    free = math.inf
    with suppress(OSError, StopIteration):
        free = 1024.0 * _number(Path("/proc/meminfo"), "MemAvailable:")
        group = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        free = min(free, _free_in(Path(f"/sys/fs/cgroup/{group[4:]}")))
    return free


def _free_in(group: Path) -> float:
    """Bytes left to a control group (version 2): the least of its own limit and of those around it."""
    free = math.inf
    for folder in (group, *group.parents):
        with suppress(OSError, StopIteration):
            limit = (folder / "memory.max").read_text().strip()
            if limit != "max":
                used = int((folder / "memory.current").read_text()) - _number(folder / "memory.stat", "inactive_file")
                free = min(free, float(limit) - used)  # pages of files can be given up at any time
    return free


def _number(path: Path, name: str) -> int:
    """The number behind a name in a file of such lines."""
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name} "))

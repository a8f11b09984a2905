"""Run r networks of one architecture as one: stacked parameters, states of shape (r, n, f)."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.copies import adjacency_copies
from depthlab.nn.network import Network, State
from depthlab.nn.probe import ERRORS, NODES, random_state, randomized, ring, same
from depthlab.ops.replica_masks import ReplicaMasks


def stack(networks: Sequence[Network]) -> Network:
    """One network that computes what each given network computes, on disjoint copies of a graph.

    A weight (a, b) becomes (r, a, b), and a vector (c,) becomes (r, 1, c), which broadcasts over states (r, n, c). This
    works if the forward pass indexes axes from the end. Each replica keeps its own random bits.

    Args:
        networks: of one architecture and equal arguments; they are not changed.
    """
    stacked = copy.deepcopy(networks[0])
    stacked.masks = ReplicaMasks([network.masks.seed for network in networks])  # type: ignore[assignment]
    parameters = [dict(network.named_parameters()) for network in networks]
    set_stacked(stacked, {name: torch.stack([own[name].detach() for own in parameters]) for name in parameters[0]})
    return stacked


def set_stacked(network: Network, values: Mapping[str, Tensor]) -> None:
    """Set the stacked parameters, (r, ...)."""
    for name, value in values.items():
        stacked = value.unsqueeze(1) if value.dim() == 2 else value
        module, _, own = name.rpartition(".")
        learned = network.get_parameter(name).requires_grad
        setattr(network.get_submodule(module), own, nn.Parameter(stacked, requires_grad=learned))


def can_stack(make: Callable[[int, int, int], Network]) -> bool:
    """Whether a stacked network computes the same as its replicas in training, tested layer by layer.

    It does if a network is built from the linear layers of `depthlab.nn` and sums over neighbours. A network with
    `findings` has to be trained alone, as has one that changes buffers: both belong to one network.

    Args:
        make: (in_channels, out_channels, seed) -> network.
    """
    try:
        with torch.no_grad():
            return _same_stacked([randomized(make(4, 3, seed), seed) for seed in range(2)])
    except ERRORS:  # it indexes axes from the front
        return False


def _same_stacked(networks: Sequence[Network]) -> bool:
    if type(networks[0]).findings is not Network.findings:
        return False
    for seed, network in enumerate(networks):
        network.masks.seed = seed
    stacked = stack(networks)
    graph, count = gcn_adjacency(ring(), NODES), len(networks)
    x = torch.randn(NODES, 4, generator=torch.Generator().manual_seed(0))
    everyone = [*networks, stacked]
    for network in everyone:
        network.train()
    buffers = [[buffer.clone() for buffer in network.buffers()] for network in everyone]

    def restart(step: int) -> None:
        for network in everyone:
            network.masks.restart(step)

    def agree(together: State, alone: Sequence[State]) -> bool:
        return same(together, [torch.stack(entries) for entries in zip(*alone, strict=True)])

    restart(0)
    alone = [network.encode(x, graph) for network in networks]
    state, by_layer = stacked.encode(x.expand(count, *x.shape), adjacency_copies(graph, count))
    if not agree(state, [state for state, _ in alone]):
        return False
    for number in range(stacked.depth):
        restart(number + 1)
        entering = random_state(state, number)
        state = stacked.layer(number, entering, by_layer.at(number))
        expected = [
            network.layer(number, tuple(entry[k] for entry in entering), own.at(number))
            for k, (network, (_, own)) in enumerate(zip(networks, alone, strict=True))
        ]
        if not agree(state, expected):
            return False
    restart(stacked.depth + 1)
    last = random_state(state, stacked.depth)
    outputs = [(network.decode(tuple(entry[k] for entry in last)),) for k, network in enumerate(networks)]
    unchanged = all(
        torch.equal(buffer, before)
        for network, saved in zip(everyone, buffers, strict=True)
        for buffer, before in zip(network.buffers(), saved, strict=True)
    )
    return unchanged and agree((stacked.decode(last),), outputs)

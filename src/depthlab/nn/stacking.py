"""Run r networks of one architecture as one: stacked parameters, states of shape (r, n, f)."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.copies import adjacency_copies
from depthlab.nn.network import Network
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
    set_stacked(stacked, {name: torch.stack([one[name].detach() for one in parameters]) for name in parameters[0]})
    return stacked


def set_stacked(network: Network, values: Mapping[str, Tensor]) -> None:
    """Set the stacked parameters, (r, ...)."""
    for name, value in values.items():
        module, _, own = name.rpartition(".")
        parameter = nn.Parameter(value.unsqueeze(1) if value.dim() == 2 else value)
        setattr(network.get_submodule(module), own, parameter)


def can_stack(make: Callable[[int, int], Network]) -> bool:
    """Whether a stacked network computes the same as its parts, tested on a ring of nodes in training mode.

    It does if a network is built from the linear layers of `depthlab.nn` and sums over neighbours. A network that
    reports values of its own after a pass has to be trained alone.

    Args:
        make: (in_channels, out_channels) -> network.
    """
    nodes, features, count = 7, 4, 2
    ring = torch.arange(nodes)
    edges = torch.stack([torch.cat([ring, ring]), torch.cat([ring.roll(1), ring.roll(-1)])])
    graph, x = gcn_adjacency(edges, nodes), torch.randn(nodes, features, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            networks = [make(features, 3) for _ in range(count)]
            if type(networks[0]).findings is not Network.findings:
                return False
            for seed, network in enumerate(networks):
                network.masks.seed = seed
            both = stack(networks)
            for network in (*networks, both):
                network.train().masks.restart(0)
            out = both(x.expand(count, *x.shape), adjacency_copies(graph, count))
            alone = torch.stack([network(x, graph) for network in networks])
            return out.shape == alone.shape and bool((out - alone).abs().max() <= 1e-4 * alone.abs().max())
    except (ValueError, RuntimeError, IndexError, AttributeError):  # it indexes axes from the front
        return False

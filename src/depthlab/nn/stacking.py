"""Several networks of one architecture as one: their parameters stacked, their states (r, n, f)."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.copies import adjacency_copies
from depthlab.nn.network import Network
from depthlab.ops.replica_masks import ReplicaMasks


def stack(networks: Sequence[Network]) -> Network:
    """One network that does at once what each of these does, on copies of a graph side by side.

    A weight (a, b) becomes (r, a, b) and a vector (c,) becomes (r, 1, c), so that it is added to states (r, n, c) as it
    was to (n, c): a pass that reads sizes and axes from the end is that of all. Random bits are those of each.

    Args:
        networks: of one architecture and equal arguments; they stay as they are.
    """
    stacked = copy.deepcopy(networks[0])
    stacked.masks = ReplicaMasks([network.masks.seed for network in networks])  # type: ignore[assignment]
    parameters = [dict(network.named_parameters()) for network in networks]
    set_stacked(stacked, {name: torch.stack([one[name].detach() for one in parameters]) for name in parameters[0]})
    return stacked


def set_stacked(network: Network, values: Mapping[str, Tensor]) -> None:
    """Take these as parameters, (r, ...)."""
    for name, value in values.items():
        module, _, own = name.rpartition(".")
        parameter = nn.Parameter(value.unsqueeze(1) if value.dim() == 2 else value)
        setattr(network.get_submodule(module), own, parameter)


def can_stack(make: Callable[[int, int], Network]) -> bool:
    """Whether `stack` gives what each network gives by itself, tried on a ring of nodes, in training.

    It does for what is built of the linear layers of `depthlab.nn` and sums over neighbours. A network with findings of
    its own passes is to be trained alone.

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
            return torch.allclose(out, torch.stack([network(x, graph) for network in networks]), atol=1e-5)
    except (ValueError, RuntimeError, IndexError, AttributeError):  # it reads sizes from the front
        return False
